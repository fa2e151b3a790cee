# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
make_input 25 10
sed -i 's/^corpus: out/corpus: c/' corpus.yaml
capivara run corpus.yaml 2>/dev/null
cp -r c good
again() { rm -rf c; cp -r good c; }
overwrite() { # FILE OFFSET TEXT
    printf %s "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

expect 0 '' capivara verify c
has said '4 shards, '
has said 'all is well'
expect 0 '' capivara verify --quick c
expect 0 '' capivara verify c/fetch c/shards/train
expect 0 '' capivara verify 'c/fetch/{00000..00002}.tar.zst' --threads 3
has said '3 shards'

# A byte in a frame: the members that cannot be vouched for, by name.
overwrite c/fetch/00001.tar.zst 300 X
expect 65 '*problems, 1 of 4 shards are hit' capivara verify c
has said "member '000011.jpg' cannot be vouched for"
expect 65 '*' capivara verify c/fetch/00001.tar.zst
expect 0 '' capivara verify c/fetch/00000.tar.zst
capivara verify c --threads 1 >one 2>/dev/null || true
capivara verify c --threads 4 >four 2>/dev/null || true
same one four

# The end of a shard: the structure that was hit.
again
size=$(stat -c %s c/fetch/00000.tar.zst)
overwrite c/fetch/00000.tar.zst $((size - 20)) X
expect 65 '*' capivara verify c
has said 'seek table'

# Cut off, gone, another's.
again
truncate -s 300 c/fetch/00002.tar.zst
expect 65 '*' capivara verify --quick c
has said "00002.tar.zst'"
again
rm c/fetch/00002.tar.zst
expect 65 '*' capivara verify c
has said "'c/fetch/00002.tar.zst' is not there, but its record is"
again
cp c/fetch/00001.tar.zst c/fetch/00000.tar.zst
expect 65 '*' capivara verify --quick c
has said 'its record says'

# Records and settings.
again
sed -i 's/"samples":10/"samples":11/' c/fetch/00001.json
expect 65 '*' capivara verify --quick c
has said 'it has 10 samples, its record says 11'
again
echo 'x' >>c/fetch/settings.yaml
expect 65 '*' capivara verify --quick c
has said 'are not pinned'
again
echo '{}' >c/fetch/00001.json
expect 65 '*' capivara verify --quick c
has said "'c/fetch/00001.json'"

# The index.
again
echo 'garbage, and long enough to be looked at as a database header' >c/index.sqlite
expect 65 '*' capivara verify --quick c
has said 'index.sqlite'
rm c/index.sqlite
expect 0 '' capivara verify --quick c
again
if command -v sqlite3 >/dev/null; then
    sqlite3 c/index.sqlite 'UPDATE samples SET frame = 9 WHERE col = "fetch" AND part = 1 AND pos = 3'
    expect 65 '*' capivara verify --quick c
    has said "table 'samples' of column 'fetch' part 1 is not what the shard says"
fi

# What others wrote can be read, or not.
again
mkdir x
echo hello >x/a.txt
tar cf foreign.tar x/a.txt
expect 0 '' capivara verify foreign.tar
has said '1 samples'
head -c 514 foreign.tar >cut.tar
expect 65 '*' capivara verify cut.tar
