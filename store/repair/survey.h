/* SPDX-License-Identifier: MIT */
/*
 * survey.h - the file that is checked or salvaged: its superblock and its log.
 *
 * The file is opened to be read only. What cannot be read of it reads as zeros.
 * Each read asks for progress first, so that all can be cancelled at any time.
 *
 * Nothing in a file tells of what comes behind it: whether a part was cut off
 * shows only where the cut goes through a record, or where the log lacks the
 * freeze with which a close ends it. A crash leaves the same.
 */
#ifndef STORE_REPAIR_SURVEY_H
#define STORE_REPAIR_SURVEY_H

#include "banyan.h"
#include "log/log_walk.h"
#include "repair/tell.h"

struct survey {
	struct teller *tell;
	tell_line *damage; /* how damage of the log is told */
	struct file *below;
	struct file *file; /* the same, watched */
	uint64_t size;
	bool in_use; /* somebody has it open for writing */
	struct superblock sb;
	struct log_walk walk; /* all of the log that is left */
	int opened; /* 0, or why normal recovery fails */
	struct log_state st; /* what it has found */
	struct banyan_log_end end; /* if it does not fail */
};

/* v: zeroed but for tell and damage */
int survey_open(struct survey *v, const char *path);
void survey_close(struct survey *v);

/*
 * Read the superblock. If it is damaged that is told, and of *sb nothing counts
 * but the salt and the generation. If the salt cannot be had: why it does not
 * decode.
 */
int survey_superblock(struct survey *v);

/* Find all of the log, and tell what is damaged in it, and how it ends */
int survey_log(struct survey *v);

#endif
