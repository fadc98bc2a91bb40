# Reads a coverage profile, and fails when less than floor percent of the statements of a folder, and of those in it, were run.
# A line is "postlink/payload/build.go:12.34,15.2 STATEMENTS COUNT".
NR > 1 {
	split($1, at, "/")
	all[at[2]] += $2
	if ($3 > 0) run[at[2]] += $2
}

END {
	n = split("payload rules worker", folders, " ")
	for (i = 1; i <= n; i++) {
		folder = folders[i]
		percent = all[folder] ? 100 * run[folder] / all[folder] : 0
		if (percent <= floor) {
			printf "coverage of %s is %.1f %%, and has to be above %d %%\n", folder, percent, floor
			low = 1
		}
	}
	exit low
}
