# Makes a C string of a JSON file.
s/\\/\\\\/g
s/"/\\"/g
s/^/"/
s/$/\\n"/
