# SPDX-License-Identifier: Apache-2.0
. "$CASE/common.inc"
# The driver alone, with stages that only say what they were given.
mkdir bin photos
cp "$(command -v capivara)" bin/
for stage in fetch caption translate shard; do
    cat >bin/capivara-$stage <<END
#!/bin/sh
for a in "\$@"; do [ "\$a" != --print-config=true ] || exit \$(cat $PWD/check-$stage 2>/dev/null || echo 0); done
echo $stage "\$@" >>$PWD/called
[ ! -e $PWD/slow-$stage ] || { trap 'echo stopped >>$PWD/called; exit 75' TERM; touch $PWD/started; while :; do sleep 0.05; done; }
exit \$(cat $PWD/status-$stage 2>/dev/null || echo 0)
END
    chmod +x bin/capivara-$stage
done
PATH=$PWD/bin:$PATH
cat >c.yaml <<END
corpus: c
input: {path: photos}
fetch: {image_size: 8}
translate: {pt: {}}
caption: {beams: 1}
shard:
  a: {}
  b: {}
END

# In order, once for each set; options go where they are understood.
expect 0 '' capivara run c.yaml --threads 3 --set fetch.image_size=9 --set caption.beams=2 --set shard.b.shuffle=false --set seed=4 --redo
cat >expected <<END
fetch --config=$PWD/c/config.yaml --corpus=$PWD/c --threads=3 --set=fetch.image_size=9 --set=seed=4 --redo=true
caption --config=$PWD/c/config.yaml --corpus=$PWD/c --threads=3 --set=caption.beams=2 --set=seed=4 --redo=true
translate --config=$PWD/c/config.yaml --corpus=$PWD/c --lang=pt --threads=3 --set=seed=4 --redo=true
shard --config=$PWD/c/config.yaml --corpus=$PWD/c --name=a --threads=3 --set=seed=4 --redo=true
shard --config=$PWD/c/config.yaml --corpus=$PWD/c --name=b --threads=3 --set=shard.b.shuffle=false --set=seed=4 --redo=true
END
same expected called

# A stage that ends badly ends the run with its status; --keep-going goes on.
rm called
echo 75 >status-fetch
expect 75 "*'fetch' ended with status 75; run again to go on" capivara run c.yaml
[ "$(wc -l <called)" -eq 1 ] || fail 'it went on'
echo 65 >status-shard
rm called
expect 65 "*not everything is done*" capivara run c.yaml --keep-going
[ "$(wc -l <called)" -eq 5 ] || fail 'it did not go on'
rm status-shard called
expect 75 '*' capivara run c.yaml --keep-going
rm status-fetch

# Whoever refuses its section is heard before anything runs.
rm -rf called c
echo 78 >check-shard
expect 78 '' capivara run c.yaml
[ ! -e called ] && [ ! -e c ] || fail 'something ran'
rm check-shard

# Asked to stop: the stage is told, waited for, and nothing comes after it.
for signal in TERM INT USR1; do
    rm -f called started
    touch slow-fetch
    capivara run c.yaml 2>err &
    pid=$!
    while [ ! -e started ]; do sleep 0.05; done
    case $signal in INT) kill -TERM $pid ;; *) kill -$signal $pid ;; esac
    status=0
    wait $pid || status=$?
    [ $status -eq 75 ] || fail "$signal: status $status"
    has called stopped
    [ "$(grep -c ^shard called || true)" -eq 0 ] || fail "$signal: it went on"
done

# Killed: the stage does not outlive the driver for long.
rm -f called started
capivara run c.yaml 2>/dev/null &
pid=$!
while [ ! -e started ]; do sleep 0.05; done
kill -KILL $pid
wait $pid 2>/dev/null || true
i=0
while ! grep -q stopped called; do
    i=$((i + 1))
    [ $i -lt 100 ] || fail 'the stage lives on'
    sleep 0.05
done
rm slow-fetch

# A stage that is not there.
rm bin/capivara-shard
PATH=/usr/bin:/bin
expect 74 "*'capivara-shard' is neither beside this program nor on the PATH" bin/capivara run c.yaml
expect 74 "*'capivara-shard' is neither *" bin/capivara shard
