/* SPDX-License-Identifier: MIT */
#ifndef STORE_API_SCAN_H
#define STORE_API_SCAN_H

#include "banyan.h"

/*
 * -EUCLEAN unless the key that the cursor gave last is the only one of its key
 * space. In a hostile file a key space may have two, and so may each that lies
 * in it: a recursive walk over them would take for ever.
 */
int scan_check_only_key(banyan_cursor *c);

#endif
