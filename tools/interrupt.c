/* SPDX-License-Identifier: MIT */
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>

static const int caught[] = { SIGINT, SIGTERM, SIGHUP };

static volatile sig_atomic_t noted; /* the signal, 0: none */

static void note(int number)
{
	noted = number;
}

void catch_interrupts(void)
{
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		struct sigaction action, before;

		if (sigaction(caught[i], NULL, &before) != 0 ||
		    before.sa_handler == SIG_IGN)
			continue;
		action = (struct sigaction){ .sa_handler = note };
		sigemptyset(&action.sa_mask);
		sigaction(caught[i], &action, NULL);
	}
}

bool interrupted(void)
{
	return noted != 0;
}

void end_if_interrupted(void)
{
	int number = noted;

	if (!number)
		return;
	fflush(stdout);
	signal(number, SIG_DFL);
	raise(number);
}
