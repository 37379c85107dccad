/* SPDX-License-Identifier: MIT */
#ifndef STORE_API_ATTRIBUTES_H
#define STORE_API_ATTRIBUTES_H

#include "banyan.h"
#include "model/data.h"

void fill_attr(const struct data *d, struct banyan_attr *attr);

#endif
