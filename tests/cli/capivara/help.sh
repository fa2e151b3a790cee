# SPDX-License-Identifier: Apache-2.0
capivara --help
capivara help >again
capivara --help | cmp - again
for c in run status report inspect cat verify export index gc; do
    capivara $c --help >one
    capivara help $c | cmp - one
    head -1 one
    capivara $c --man | grep -q '^\.SH EXIT STATUS$'
done
capivara --man | grep -q '^\.SH COMMANDS$'
capivara run --man | grep -q '^\.TH CAPIVARA-RUN 1 '
capivara --completion >script
bash -n script
capivara run --completion | cmp - script
# What bash offers: commands, a command's options, words of an option, a stage's own.
cat >offer.sh <<'END'
source ./script
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_capivara
echo "${COMPREPLY[*]}"
END
offers() { # WANTED WORDS...
    wanted=$1
    shift
    offered=$(bash offer.sh "$@")
    [ "$offered" = "$wanted" ] || { echo "$*: '$offered', expected '$wanted'"; exit 1; }
}
offers 'inspect index' capivara in
offers '--keep-going' capivara run --k
offers 'pull' capivara models pu
offers '--quick --quiet' capivara verify --qui
offers 'text' capivara status --format t
offers 'webdataset' capivara fetch --input-format w
offers '--samples-per-shard' capivara shard --sam
offers '--max-new-tokens' capivara caption --max-n
offers '--classnames' capivara eval --class
offers '' capivara cat x
capivara --version | grep -qx 'capivara [0-9][0-9.]*'
capivara fetch --help >one
capivara-fetch --help | cmp - one
# With a model it is a tool for files, with options of its own.
capivara-caption --help | grep -q -e '--corpus'
capivara-caption --model x --help >one
grep -q -e '--json' one
! grep -q -e '--corpus' one
capivara-caption --model x --man | grep -q '^\.TH CAPIVARA-CAPTION 1 '
