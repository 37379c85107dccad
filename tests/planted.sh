#!/bin/bash
# SPDX-License-Identifier: MIT
#
# planted.sh [--look] [NAME...] - bugs that a store must not have, planted one at a time
# in a copy of the sources: a test must fail with each of them. Tests that pass
# when the code is broken prove nothing.
#
# A bug is a change of lines that must be there exactly once; where they are not,
# because the code has moved on, that is a failure, and the table below wants a
# new line. A line for each bug: its name, the test that has caught it, and what
# that said first; then one for each of these tests, which must pass without a bug.
# At last "N passed, N failed". NAME: only bugs whose names contain it. BANYAN_SEED goes
# to the tests. --look: only see whether each can still be planted, which takes seconds.

set -u
export LC_ALL=C
top=$(realpath "${0%/*}/..")
. "$top/tests/support/lib.sh"
. "$top/tests/support/rings.sh"
tree=$(new_work) || exit 1
trap 'offer_as_before; remove_work "$tree"' EXIT
# So that no file that a failing test keeps is left behind
export TMPDIR=$tree/tmp
mkdir "$TMPDIR"
chmod 755 "$tree" # tests of the mount have other users
look=0
if [[ ${1-} == --look ]]; then
	look=1
	shift
fi
only=("$@")
limit=900 # seconds a test may take
unset BANYAN_LONG BANYAN_EVENTS BANYAN_CUTS
# Tests of the mount take the programs that they find beside them
unset BANYAN BANYANFS RINGS TRANSPORT
# This may be run by a make that makes another variant
unset MAKEFLAGS MFLAGS WERROR SANITIZE COVERAGE

# ---- one bug ----------------------------------------------------------------

name=
wanted=
trouble=
changed=()
tests=() # that were run

bug()
{
	local word
	name=$1
	trouble=
	changed=()
	wanted=$((${#only[@]} == 0))
	for word in "${only[@]}"; do
		[[ $name != *"$word"* ]] || wanted=1
	done
}

# change FILE OLD NEW: OLD is there once
change()
{
	local file=$1 old=$2 new=$3 text rest
	((wanted)) || return
	text=$(<"$tree/$file") || exit 1
	rest=${text#*"$old"}
	if [[ $rest == "$text" ]]; then
		trouble="not in $file: $old"
	elif [[ $rest == *"$old"* ]]; then
		trouble="more than once in $file: $old"
	else
		changed+=("$file")
		printf '%s\n' "${text%%"$old"*}$new$rest" >"$tree/$file"
	fi
}

# source_of TEST: the path of its source, below the tree. mount/NAME is a suite of
# the mount.
source_of()
{
	case $1 in
	mount/*) echo "tests/$1.sh" ;;
	*) (cd "$top" && find tests -path "*/$1.c") ;;
	esac
}

# binary TEST: the path of its program, below the tree
binary()
{
	local source
	source=$(source_of "$1")
	echo "build/${source%.c}"
}

# build TEST; what the compiler says goes to a log
build()
{
	local -a what=(build/banyan build/banyanfs)
	[[ $1 == mount/* ]] || what=("$(binary "$1")")
	nice make -C "$tree" --no-print-directory -j"$(nproc)" BUILD=build \
		"${what[@]}" >"$tree/log.build" 2>&1
}

# run TEST [VARIABLE=VALUE...]: its status, what it says in a log
run()
{
	local -a program=("$tree/$(binary "$1")")
	[[ $1 != mount/* ]] || program=(bash "$tree/$(source_of "$1")")
	# The braces: bash need not say that one was aborted
	[[ " $* " != *" RINGS=1 "* ]] || offer_rings Y
	{ timeout -k 10 "$limit" env "${@:2}" "${program[@]}" \
		>"$tree/log.run" 2>&1 </dev/null; } 2>/dev/null
	local status=$?
	offer_as_before
	return $status
}

# What a failing test says first
first_words()
{
	local test line
	if grep -q '^not ok ' "$tree/log.run"; then
		grep -a -A 1 -m 1 '^not ok ' "$tree/log.run" |
			sed 's/^not ok //; s/^ *//' | paste -sd :
		return
	fi
	test=$(sed -n 's/^\[ RUN  *\] //p' "$tree/log.run" | tail -n 1)
	line=$(sed -n 's/^\[  \(FAILED\|ERROR \)  \] \([a-z].*\)/\2/p' "$tree/log.run" |
		head -n 1)
	test=${line:-$test}
	line=$(grep -aE -m 1 \
		'^ERROR: |Assertion|exception|^\[  ERROR   \] --- .*[a-z]' \
		"$tree/log.run")
	line=${line#ERROR: }
	echo "$test: ${line#*--- }"
}

# caught_by TEST [VARIABLE=VALUE...]: it fails
caught_by()
{
	local test=$1 status file
	((wanted)) || return
	if [[ -n $trouble ]]; then
		not_ok "$name" "$trouble"
	elif ((look)) && [[ ! -f $tree/$(source_of "$test") ]]; then
		not_ok "$name" "there is no test $test"
	elif ((look)); then
		ok "$name" "can be planted"
	elif [[ $test == mount/* ]] && ! can_plant_mounts; then
		skip "$name" "not root, or no /dev/fuse"
	elif ! build "$test"; then
		not_ok "$name" "does not compile: $(grep -m 1 error: \
			"$tree/log.build")"
	else
		run "$@"
		status=$?
		[[ " ${tests[*]} " == *" $* "* ]] || tests+=("$*")
		if ((status == 124 || status == 137)); then
			not_ok "$name" "$test ran out of time ($limit s)"
		elif ((status == 0)); then
			not_ok "$name" "$test has not noticed it"
		else
			ok "$name" "$test: $(first_words)"
		fi
	fi
	for file in "${changed[@]}"; do
		cp "$top/$file" "$tree/$file"
	done
}

# Without root a suite of the mount skips what a bug is to be caught by
can_plant_mounts() { ((EUID == 0)) && [[ -r /dev/fuse && -w /dev/fuse ]]; }

# As they are the tests pass that have caught bugs: or else that would mean nothing
passes()
{
	local -a words
	local test
	for test in "${tests[@]}"; do
		read -ra words <<<"$test"
		if ! build "${words[0]}"; then
			not_ok "$test without a bug" \
				"$(grep -m 1 error: "$tree/log.build")"
		elif ! run "${words[@]}"; then
			not_ok "$test without a bug" "$(first_words)"
		else
			ok "$test without a bug" "passes"
		fi
	done
}

# -----------------------------------------------------------------------------

cp -r "$top/Makefile" "$top/common" "$top/store" "$top/fs" "$top/tests" "$top/tools" \
	"$tree" || exit 1

# ---- syncs that are left out ------------------------------------------------

bug 'no sync before the freeze record'
change store/engine/freeze.c 'int rc = log_sync(store->volume->log, NULL);' \
	'int rc = log_poisoned(store->volume->log);'
caught_by test_powercut

bug 'no sync behind the freeze record'
change store/engine/freeze.c 'return rc ? rc : log_sync(store->volume->log, NULL);' 'return rc;'
caught_by test_powercut

bug 'no sync in banyan_sync'
change store/engine/write.c 'int rc = log_sync(volume->log, &fresh);' \
	'int rc = log_poisoned(volume->log);'
caught_by test_powercut

bug 'no sync at all'
change store/log/log.c 'int rc = file_sync(log->file);' 'int rc = 0;'
caught_by test_powercut

bug 'no sync in recovery'
change store/log/log_recover.c 'rc = file_sync(file);' 'rc = 0;'
caught_by test_powercut

bug 'what comes while a sync runs is taken for durable'
change store/log/log.c 'atomic_store(&log->durable_to, to);' \
	'atomic_store(&log->durable_to, atomic_load(&log->written) + 0 * to);'
caught_by test_powercut

bug 'a failed sync is forgotten'
change store/log/log.c $'\t\t\tlog_poison(log);\n\t\t} else {' \
	$'\t\t} else {'
caught_by test_crash_chain

bug 'pages of a failed sync are believed'
change store/log/log_recover.c 'rc = file_drop_cache(file, st.durable_to);' \
	'rc = 0;'
caught_by test_crash_chain

# ---- a wrong order ----------------------------------------------------------

bug 'the freeze record is written before the sync of the nodes'
change store/engine/freeze.c 'int rc = log_sync(store->volume->log, NULL);
	if (!rc)
		rc = freeze_record(store, f, offset);' \
	'int rc = freeze_record(store, f, offset);
	if (!rc)
		rc = log_sync(store->volume->log, NULL);'
caught_by test_powercut

# ---- checksums that nobody looks at -----------------------------------------

bug 'checksum of a record not verified'
change store/log/log_scan.c 'array_len) != h.crc)' \
	'array_len) == 0 && h.crc == 0)'
caught_by test_damage

bug 'checksums of chunks not verified'
change store/log/payload.c 'if (crc32c(0, buffer + done, n) !=' \
	'if (0 * crc32c(0, buffer + done, n) >'
caught_by test_damage

bug 'checksum of a chunk that is wanted in part not verified'
change store/log/payload.c \
	'if (crc32c(0, bytes, n) != get_le32(p->sums + 4 * (size_t)c.number))' 'if (0)'
caught_by test_payload

bug 'checksum of the array of chunks not verified'
change store/log/payload.c 'return crc32c(0, sums, size) == sum ? 0 : -EBADMSG;' \
	'return size ? 0 : (int)sum;'
caught_by test_damage

bug 'payloads not verified by recovery'
change store/log/log_recover.c 'rc = payload_verify(r->file, &rec);' 'rc = 0;'
caught_by test_powercut

bug 'checksum of a node not verified'
change store/tree/node.c 'if (crc32c(0, bytes, ref->length) != ref->crc)' 'if (0)'
caught_by test_damage

bug 'checksum of the superblock not verified'
change store/log/format.c 'if (get_le32(bytes + 4092) != crc32c(0, bytes, 4092))' \
	'if (0)'
caught_by test_damage

bug 'checksum of a segment header not verified'
change store/log/format.c $'\t    get_le32(bytes) != crc)' \
	$'\t    (crc == 0 && get_le32(bytes) != crc))'
caught_by test_damage

# ---- handles ----------------------------------------------------------------

bug 'a read of a held Data goes where an operation has moved it to that failed'
change store/model/held_data.c 'atomic_store(&p->seq, UINT64_MAX);' '(void)0;'
caught_by test_held_data

bug 'what goes with its key goes though somebody holds it'
change store/model/held_data.c '} else if (d->holds || d->closed == UINT16_MAX) {' \
	'} else if (d->closed == UINT16_MAX) {'
caught_by test_batch_held

bug 'a batch is seen before it is committed'
change store/engine/read_txn.c \
	'begin(store, slot, view, seq, rtxn);' \
	'begin(store, slot, view, seq + 1, rtxn);'
caught_by test_batch_readers

bug 'a cursor of a batch hands out Data where they were'
change store/api/scan.c 'if (db->kind != HANDLE_BATCH) {' 'if (db) {'
caught_by test_batch

bug 'a batch does not count its keys'
change store/api/database.c 'st->keys += (uint64_t)db->txn->op.keys;' ''
caught_by test_model

bug 'a view follows what is written'
change store/api/handle.c \
	$'read_txn_begin_at(db->store, db->shown.view, db->shown.seq,\n\t\t\t\t  rtxn);' \
	'read_txn_begin(db->store, rtxn);'
caught_by test_view

bug 'a close in the child of a fork goes through what threads were changing'
change store/engine/open.c $'\t\tfile_close(store->volume->file);\n\t\treturn;' \
	$'\t\tfree_memory(store);\n\t\treturn;'
caught_by test_fork

bug 'a close in the child of a fork lets others write to the file'
change store/file/file_posix.c 'bool owner = p->owner == getpid();' \
	'bool owner = p->owner != 0;'
caught_by test_fork

# ---- recovery ---------------------------------------------------------------

bug 'damage is taken for a torn tail'
change store/log/log_recover.c 'if (durable_to <= at)' 'if (at)'
caught_by test_damage

bug 'what a mark behind the end of the log says is forgotten'
change store/log/log_recover.c 'st->durable_to = durable_to;' ''
caught_by test_damage

bug 'of two continuations of a segment the first counts'
change store/log/log_scan.c '*e = (struct segment_exit){ h.prev, number };' \
	'if (!e->to)
			*e = (struct segment_exit){ h.prev, number };'
caught_by test_powercut

bug 'the log goes on in a torn place'
change store/log/log.c \
	'log->resume = (written_to + SEGMENT_SIZE - 1) / SEGMENT_SIZE;' \
	'log->resume = 0 * written_to;'
caught_by test_crash_chain

bug 'a torn tail is given up, but not durably'
change store/log/log.c 'rc = give_up_tail(log);' 'rc = 0 * !give_up_tail;'
caught_by test_crash_chain

# ---- vacuum -----------------------------------------------------------------

bug 'the new file has its name before it is synced'
change store/file/file_name.c $'\trc = fsync(p->fd) ? -errno : 0;\n' ''
change store/file/file_name.c $'\trc = sync_directory(p);\n\tif' \
	$'\tif (fsync(p->fd))\n\t\treturn -errno;\n\trc = sync_directory(p);\n\tif'
caught_by test_publish

bug 'the last round of catching up is left out'
change store/vacuum/vacuum.c $'\tint rc = catch_up(v, &end);\n\tif (rc)' \
	$'\tint rc = 0;\n\tif (rc)'
caught_by test_vacuum_threads

bug 'what is shared is copied for each'
change store/vacuum/layout.c 'if (l->source == LAYOUT_FIRST && !old->e.shared)' \
	'if (l->source == LAYOUT_FIRST)'
caught_by vacuum/test_vacuum

bug 'what was copied before is copied again'
change store/vacuum/layout.c 'if (l->source == LAYOUT_FIRST && !old->e.shared)' \
	'if (!old->e.shared)'
caught_by vacuum/test_vacuum

bug 'what was cut is copied again'
change store/vacuum/layout.c $'\t\t*last = piece;\n\t}\n\treturn 0;' \
	$'\t\t*last = piece;\n\t}\n\treturn *count > 1;'
caught_by test_vacuum_layout

bug 'parts of what is shared are copied by themselves'
change store/vacuum/layout.c 'if (l->source != LAYOUT_OPERATION) {' 'if (0) {'
caught_by vacuum/test_vacuum

bug 'what is shared is not marked so in the new file'
change store/vacuum/layout.c 'fresh->shared = true;' 'fresh->shared = false;'
caught_by vacuum/test_vacuum

bug 'a value is cut though its row has no room for one more extent'
change store/vacuum/layout.c 'return l->out_max - l->out.count - others;' \
	'return l->out_max + 0 * others;'
caught_by test_vacuum_layout

bug 'what one vacuum has cut the next one does not join'
change store/vacuum/layout.c 'return l->block.count && l->block.run[0].at + l->bytes == at;' \
	'return l->block.count && at == 0;'
caught_by test_vacuum_layout

bug 'an old row is put again in a later state, and what it was stays'
change store/vacuum/extent_rows.c 'return cut_out(x, at, at + length);' \
	'return at ? 0 : cut_out(x, at, at + length);'
caught_by test_vacuum_layout

bug 'an old row is put again by an operation, and what it was stays'
change store/vacuum/extent_rows.c 'x->cut_to = c.run.at + length;' \
	'x->cut_to = c.run.at;'
caught_by test_vacuum_layout

bug 'what a new row has beside the bytes of a deleted old one is lost'
change store/vacuum/extent_rows.c 'if (from > to)' 'if (from > to && to == 0)'
caught_by test_vacuum_layout

bug 'which old rows are others in the new file is not noted'
change store/vacuum/extent_rows.c 'rc = note_length(x, row);' 'rc = 0 * !note_length;'
caught_by test_vacuum_layout

bug 'whose place is taken is not looked at'
change store/file/file_name.c 'rc = check_replaced(p);
	if (!rc)
		keep' 'rc = 0;
	if (!rc)
		keep'
caught_by test_vacuum_file

bug 'what progress says to end it means that there are no more rows'
change store/vacuum/vacuum.c 'return v->stopped ? -ECANCELED : 0;' \
	'return v->stopped;'
caught_by vacuum/test_vacuum

bug 'a sync takes a file that was replaced for deleted'
change store/file/file_verify.c ' || atomic_load(&p->superseded)' ''
caught_by test_vacuum_threads

bug 'a freeze has a number that the caller knows already'
change store/engine/successor.c 'rc = freeze_renumber(next);' 'rc = 0;'
caught_by vacuum/test_vacuum

bug 'a round of catching up is skipped'
change store/vacuum/vacuum.c $'\t\trc = catch_up(v, &end);\n\t\tif (!rc)\n\t\t\trc = look' \
	$'\t\tv->at = end;\n\t\tif (!rc)\n\t\t\trc = look'
caught_by test_vacuum_threads

bug "a snapshot's extent is dropped"
change store/vacuum/extent_rows.c $'\tif (!rc && row->value)\n' \
	$'\tif (!rc && row->value && x->layout->source == LAYOUT_FIRST)\n'
caught_by test_vacuum_snapshots

bug 'a snapshot that was taken while a vacuum ran is of a later moment'
change store/vacuum/vacuum.c 'at->seq >= v->due.replay.seq;' \
	'at->seq > v->due.replay.seq + 2;'
caught_by test_vacuum_snapshots

bug 'the rows of snapshots lead to the old file'
change store/vacuum/copy.c 's.offset = to->new_offset;' ''
caught_by test_vacuum_snapshots

bug 'of snapshots only those are kept that were taken last'
change store/vacuum/copy.c 'return r->last ? next_of_all(r, row) : 1;' 'return 1;'
caught_by test_vacuum_snapshots

bug 'a time of which nothing is known shows the state before'
change store/engine/past.c 'return gap && f->time < time ? -ENOENT : 0;' \
	'return 0;'
caught_by test_vacuum_snapshots

bug 'a time is looked for as if no clock was ever set back'
change store/engine/past.c 'now->last_freeze, false,' \
	'now->last_freeze, true,'
caught_by test_history

bug 'what snapshots hold is promised to be given back'
change store/vacuum/estimate.c 'kept + states_further(' \
	'0 * kept + states_further('
caught_by test_vacuum_snapshots

bug 'what a snapshot has is told to be gone'
change store/api/versions.c 'return !is_kept(p->v->kept, was->since,' \
	'return 1 + !is_kept(p->v->kept, was->since,'
caught_by test_losses

bug 'a plan does not look at what states differ in'
change store/vacuum/plan.c 'bytes < plan->after)' 'bytes == 0)'
caught_by test_plan

bug 'a snapshot is not durable when it was taken'
change store/engine/snapshot.c $'\tif (!rc)\n\t\trc = store_sync(store);' ''
caught_by test_powercut

bug 'an operation that came while a vacuum ran is applied twice'
change store/vacuum/vacuum.c $'\tv->at = m->end;' \
	$'\tv->at = v->store->last.replay;'
caught_by test_vacuum_threads

# ---- punch ------------------------------------------------------------------

bug 'of a value that is live only the first chunk stays'
change store/vacuum/punch.c 'chunk_at(e->payload_len, last).end' \
	'chunk_at(e->payload_len, 0 * last + e->start).end'
caught_by test_punch

bug 'the checksums of a value that is live are punched'
change store/vacuum/punch.c 'if (chunks > 1)' 'if (0)'
caught_by test_punch

bug 'what only a snapshot has is punched'
change store/vacuum/punch.c 'return rc ? rc : mark_snapshots(p, tree);' \
	'return rc ? rc : 0 * !mark_snapshots;'
caught_by test_punch

bug 'a punch does not look for readers of earlier states'
change store/vacuum/punch.c 'while (!is_current_only(p, alone)) {' \
	'while (0 && !is_current_only(p, alone)) {'
caught_by test_punch

bug 'holes are punched before the last segment names the freeze'
change store/vacuum/punch.c 'rc = begin_segment(p);' 'rc = 0 * !begin_segment;'
caught_by test_powercut

# ---- going on where a process has died ---------------------------------------

bug 'a lock that is kept is left'
change store/file/file_name.c 'rc = use_kept(p, &fd);' 'rc = 0 * (int)sizeof(&use_kept);'
caught_by test_restore

bug 'a vacuum does not hand on its file'
change store/file/file_name.c $'\tif (!rc)\n\t\tkeep(p, false);\n' ''
change store/file/file_name.c $'\tif (!rc)\n\t\tkeep(p, true);\n\treturn rc;' $'\treturn rc;'
caught_by test_restore

bug 'what a daemon that takes over has seen is called durable'
change store/log/log_recover.c 'if (writable && !file->trusted)
		st.durable_to' 'if (writable)
		st.durable_to'
caught_by test_crash_chain

bug 'those whom a daemon has answered that died are not woken'
change fs/uring.c 'rings_wake(&rings_entry(r, i)->state);' ';'
caught_by mount/survive RINGS=1

bug 'it is not known which request a ring has'
change fs/takeover.c 'return l->rings && rings_has(l->rings, unique);' \
	'return 0 * (int)sizeof(&rings_has) * (int)sizeof(l);'
caught_by mount/survive RINGS=1

bug 'a request that came by a ring is not kept'
change fs/rings.c 'e->saved_header = *rings_header(e);' ';'
caught_by test_rings

bug 'a sync that may have failed is trusted'
change store/file/file_name.c 'keeper->file_count == 1 && !unsure;' 'keeper->file_count == 1;'
caught_by test_restore

bug 'a record that was not written to its end counts as made'
change store/engine/write.c 'note_written(notes[i], notes[i]->end <= end);' \
	'note_written(notes[i], notes[i]->offset < end);'
caught_by test_restore

bug 'an orphan that was held is not swept when it is released'
change store/api/restore.c '&l.at, l.d.nlink == 0);' '&l.at, false);'
caught_by test_restore

bug 'a count that was about to change is lost'
change fs/counts.c $'\t\tif (atomic_load(&s->intent.valid))\n\t\t\tcarry_out(&s->intent);' \
	$'\t\tatomic_store(&s->intent.valid, false);'
change fs/counts.c $'*(volatile uint32_t *)i->at = i->count;\n\t*(volatile uint32_t *)i->progress = i->value;' \
	$'*(volatile uint32_t *)i->at = i->count;\n\tfor (volatile int n = 0; n < 200; n++)\n\t\t;\n\t*(volatile uint32_t *)i->progress = i->value;'
caught_by test_counts

# ---- the mount outlives its daemon -------------------------------------------

bug 'the next daemon does not hold what the kernel remembers'
change fs/takeover.c 'rc = restore_holds(fs);' 'rc = 0 * (int)sizeof(&restore_holds);'
caught_by mount/survive BANYAN_SECONDS=1

bug 'what a daemon that died had made is made again'
change fs/lasting.c 'if (!lasting || !lasting_has_made(lasting, unique))' \
	'if (!lasting || lasting_has_made(lasting, unique) || unique)'
caught_by mount/survive BANYAN_SECONDS=1

bug 'a FORGET that was read and not dealt with is lost'
change fs/takeover.c 'if (at < r->forgotten ||' 'if (at <= UINT32_MAX ||'
caught_by mount/survive BANYAN_SECONDS=1

bug 'a thread that waits in the kernel holds up the next daemon'
change fs/supervisor.c 'if (!is_notified(l))' 'if (l)'
caught_by mount/survive BANYAN_SECONDS=1

# ---- the mount --------------------------------------------------------------
# mount/long: as short as the bug can still be seen

bug 'the kernel asks for attributes each time'
change fs/reply.c 'fuse_reply_attr(req, st, FS_FOREVER);' \
	'fuse_reply_attr(req, st, 0);'
change fs/reply.c 'e->attr_timeout = FS_FOREVER;' 'e->attr_timeout = 0;'
caught_by mount/requests

bug 'the kernel asks for names each time'
change fs/reply.c 'e->entry_timeout = FS_FOREVER;' 'e->entry_timeout = 0;'
caught_by mount/requests

bug 'the kernel keeps a listing though files were read'
change fs/ops_dir.c 'fi->keep_cache = !stale_is(ino);' \
	'fi->keep_cache = !stale_is(ino) || ino;'
caught_by mount/requests

bug 'the kernel lists again for few files'
change fs/stale.c 'atomic_load(&s->entries) / KEYS_A_GETATTR;' \
	'atomic_load(&s->entries) / KEYS_A_GETATTR / 100;'
caught_by mount/requests

bug 'a Data with an attribute is marked as bare'
change fs/xattrs.c 'if (xattrs_count() != count)' 'if (xattrs_count() < count)'
caught_by test_xattrs

bug 'a directory that gets the set-group-id bit passes on no group'
change fs/privileges.c $'\tif (mode & SET_ID)
\t\tnodes_set(data, NODES_PLAIN, false);' $'\tif (!data || (mode & SET_ID & ~mode))
\t\tnodes_set(data, NODES_PLAIN, false);'
caught_by mount/acl

answered_first()
{
	change fs/ops_data.c $'\tif (!rc)
\t\trc = banyan_write(data, buffer, size, (uint64_t)offset, 0,
\t\t\t\t  NULL);
\tif (rc) {' $'\tif (rc) {'
	change fs/ops_data.c $'\tfuse_reply_write(req, size);' \
		$'\tfuse_reply_write(req, size);
\tusleep(20000);
\t(void)banyan_write(data, buffer, size, (uint64_t)offset, 0, NULL);'
}

bug 'a write is answered before it is in the file'
answered_first
caught_by mount/crash BANYAN_ROUNDS=3

bug 'a write is answered before it is in the file (a long test)'
answered_first
caught_by mount/long/crash BANYAN_ROUNDS=3

bug 'an fsync is answered before the sync'
change fs/ops_data.c 'commit_request(fs_of(req)->commit, req);' \
	'fuse_reply_err(req, 0);'
caught_by mount/start

bug 'a FITRIM on a busy CPU is told that the daemon is busy'
change fs/uring.c 'for (int i = 0; i < LOOKS &&' 'for (int i = LOOKS; i < LOOKS &&'
caught_by mount/uring

bug 'an undelete waits for the caller of the next one'
change fs/undelete.c $'-ENOMEM : rc);\n}' $'-ENOMEM : rc);\n\ttell_made(fs, made, true);\n}'
caught_by mount/ends

bug 'stacks take what a limit of memory leaves'
change fs/rlimits.c '#define STACK (1u << 20)' '#define STACK (16u << 20)'
caught_by mount/start

bug 'what the kernel forgets stays'
change fs/nodes.c $'nodes_drop(fs, ino, times);\n\tif' \
	$'nodes_drop(fs, ino, times - 1);\n\tif'
caught_by mount/long/scale BANYAN_KEYS=20000

bug 'what the kernel forgets once goes though it was told twice'
change fs/nodes.c $'nodes_drop(fs, ino, times);\n\tif' \
	$'nodes_drop(fs, ino, times + 1);\n\tif'
caught_by mount/calls

bug 'what the kernel remembers takes much memory'
change fs/reply.c 'memset(e, 0, sizeof(*e));' \
	'static void *volatile lost;
	lost = memset(malloc(8192), 1, 8192);
	memset(e, 0, sizeof(*e));'
change fs/reply.c '#include <string.h>' $'#include <stdlib.h>\n#include <string.h>'
caught_by mount/long/scale BANYAN_KEYS=20000

bug 'the past says that it may not be changed by this user'
change fs/past.c 'n->head.refusal = EROFS;' 'n->head.refusal = EACCES;'
caught_by mount/past

bug 'set-id bits stay when another user writes'
change fs/privileges.c 'if (!rc && fuse_req_ctx(req)->uid != 0)' \
	'if (!rc && drop_set_id && fuse_req_ctx(req)->uid == UINT32_MAX)'
caught_by mount/calls

bug 'set-id bits stay in the cache of the kernel'
change fs/privileges.c $'\tif (!rc)
\t\tfuse_lowlevel_notify_inval_inode(' $'\tif (rc == 1)
\t\tfuse_lowlevel_notify_inval_inode('
caught_by mount/calls

bug 'a byte of what is written is another'
change fs/ops_data.c $'\tif (!rc)
\t\trc = banyan_write(data, buffer,' $'\tif (!rc && size > 8192)
\t\t((char *)(uintptr_t)buffer)[100] ^= 1;
\tif (!rc)
\t\trc = banyan_write(data, buffer,'
caught_by mount/long/programs

bug 'times are of whole microseconds'
change fs/reply.c '.tv_nsec = t.nsec };' '.tv_nsec = t.nsec - t.nsec % 1000 };'
caught_by mount/long/trees BANYAN_FILES=300

bug 'to delete on a full disk takes room that is not kept'
change store/log/log.c 'return log->makes_room ? 0 : reserve(log, to + LOG_RESERVE);' \
	'return 0 * log->makes_room + reserve(log, to + LOG_RESERVE);'
caught_by mount/long/limits

bug 'a write to a full disk succeeds'
change fs/ops_data.c $'\tif (rc) {
\t\tfs_reply_error(req, rc);
\t\treturn;
\t}
\tcommit_note_bytes' $'\tif (rc && rc != -ENOSPC) {
\t\tfs_reply_error(req, rc);
\t\treturn;
\t}
\tcommit_note_bytes'
caught_by mount/long/limits

passes
finish
