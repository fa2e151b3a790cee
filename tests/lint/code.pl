# SPDX-License-Identifier: Apache-2.0
# Prints C files as FILE:LINE:CODE with comments and the insides of literals taken out,
# so that a lint sees code only. Given -a first, lines with a comment
# `lint: allow NAME` lose that name: an exception is stated where it is made.
use strict;
use warnings;

for my $file (@ARGV) {
    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    my $text = <$in>;
    my (%allow, $line);
    $line = 0;
    for (split /\n/, $text, -1) {
        $line++;
        push @{$allow{$line}}, split /[ ,]+/, $1 if /lint: allow ([a-z0-9_, ]+)/;
    }
    $text =~ s{(/\*.*?\*/)|(//[^\n]*)|("(?:\\.|[^"\\\n])*")|('(?:\\.|[^'\\\n])*')}{
        my $kind = defined $1 ? ' ' : defined $2 ? ' //' : defined $3 ? '""' : "''";
        my $n = () = $& =~ /\n/g;
        $kind . "\n" x $n }gsex;
    $line = 0;
    for (split /\n/, $text, -1) {
        $line++;
        for my $name (@{$allow{$line} || []}) { s/\b\Q$name\E\b/allowed/g }
        print "$file:$line:$_\n" if /\S/;
    }
}
