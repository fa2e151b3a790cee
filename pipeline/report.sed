# Makes C strings of a style sheet or a script, one a line, for an initialiser; what only
# its readers need stays out: indentation, empty lines, comments that fill a line.
s/^ *//
/^$/d
/^\/\*.*\*\/$/d
s/\\/\\\\/g
s/"/\\"/g
s/^/"/
s/$/\\n",/
