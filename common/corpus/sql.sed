# Makes a C string of an SQL file: comments and empty lines go, the rest is quoted.
s/ *--.*$//
/^$/d
s/\\/\\\\/g
s/"/\\"/g
s/^/"/
s/$/\\n"/
