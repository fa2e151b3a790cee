# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
make_input 40 4
sed -i 's/^corpus: out/corpus: c/' corpus.yaml
capivara fetch --config corpus.yaml --parts 3,1 2>/dev/null
expect 0 '' capivara index update c
has said '2 parts taken in'
capivara run corpus.yaml 2>/dev/null
capivara index update c >said
has said '0 parts taken in'
capivara index dump c >incremental
rm c/index.sqlite
expect 0 '' capivara index rebuild c
capivara index dump c >rebuilt
same incremental rebuilt
if command -v sqlite3 >/dev/null; then
    sqlite3 again.sqlite <rebuilt
    [ "$(sqlite3 again.sqlite 'SELECT count(*) FROM samples')" -eq 80 ] || fail 'the dump cannot be loaded'
fi

# Two at once: both end well.
rm c/index.sqlite
capivara index update c >a &
capivara index rebuild c >b
wait $!
capivara index dump c >twice
same incremental twice

# Damaged: set aside and made anew.
echo 'garbage, and long enough to be looked at as a database header' >c/index.sqlite
expect 0 '*warning*set aside*' capivara index update c
[ -f c/index.sqlite.damaged ] || fail aside
capivara index dump c >after
same incremental after
head -c 20000 c/index.sqlite >cut && cp cut c/index.sqlite
capivara index rebuild c >/dev/null
capivara index dump c >after
same incremental after
expect 0 '' capivara index finish c
[ ! -e c/index.sqlite-wal ] || fail wal

# A shard that is not what its record says is left out, and said.
truncate -s 100 c/fetch/00002.tar.zst
expect 65 '*left out of the index: *00002.tar.zst*' capivara index update c
expect 2 "*expected update, rebuild, dump or finish, got 'rebild'; did you mean 'rebuild'?" capivara index rebild c
rm c/index.sqlite
expect 74 "*'c/index.sqlite' is not there" capivara index dump c
