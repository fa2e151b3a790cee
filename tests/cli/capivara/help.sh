# SPDX-License-Identifier: Apache-2.0
capivara --help
capivara help >again
capivara --help | cmp - again
for c in run status models inspect cat verify export index gc; do
    capivara $c --help >one
    capivara help $c | cmp - one
    head -1 one
    capivara $c --man | grep -q '^\.SH EXIT STATUS$'
done
capivara --man | grep -q '^\.SH COMMANDS$'
capivara --completion | bash -n
capivara --completion >completion
[ "$(bash -c '. ./completion
    COMP_WORDS=(capivara models pu) COMP_CWORD=2
    _capivara
    echo "${COMPREPLY[*]}"')" = pull ]
capivara --version | grep -qx 'capivara [0-9][0-9.]*'
capivara fetch --help >one
capivara-fetch --help | cmp - one
