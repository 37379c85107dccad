#!/bin/bash
# SPDX-License-Identifier: MIT
# What a damaged database looks like through the mount.
. "$(dirname "$0")/lib.sh"
need_fuse

# Change a byte in the tree: the last third of where all names occur, the others
# being in the log. In the middle of that it is a leaf.
spoil_leaf() {
	python3 -B - "$DB" "$1" <<-'END'
		import re, sys
		with open(sys.argv[1], "r+b") as f:
		    places = [m.start() for m in re.finditer(sys.argv[2].encode(), f.read())]
		    f.seek(places[len(places) * 5 // 6])
		    f.write(b"?")
	END
}

# The names that a listing gives before it fails
names() {
	python3 -B - "$1" <<-'END'
		import os, sys
		try:
		    with os.scandir(sys.argv[1]) as l:
		        for e in l:
		            print(e.name)
		    sys.exit("no error")
		except OSError:
		    pass
	END
}

a_listing_gives_what_comes_before_the_damage() {
	mount_db
	(cd "$DIR" && seq -f 'name-%05g-unique' 3000 | xargs touch)
	umount_db
	spoil_leaf -unique
	"$BANYAN" ls "$DB" >"$T/expected" 2>/dev/null && fail "not damaged"
	[ "$(wc -l <"$T/expected")" -gt 1000 ] || fail "$(wc -l <"$T/expected") names: $("$BANYAN" ls "$DB" 2>&1 | tail -n 1)"
	mount_db
	names "$DIR" >"$T/found"
	diff "$T/expected" "$T/found" >"$T/diff" || fail "$(head -n 3 "$T/diff")"
	# what the kernel was told of is what it has to forget
	drop_caches || true
	stat "$DIR/name-00001-unique" >/dev/null
	umount_db
}

try a_listing_gives_what_comes_before_the_damage
finish
