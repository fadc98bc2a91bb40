package source

import "strings"

// Suggest ends a message about an unknown name: with the known name that was probably meant, or with all known names. A name is
// meant when at most two letters differ, and at most a third of them, without regard to case.
func Suggest(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if len(name) > 2*len(k)+3 {
			continue // however long a name is, comparing it is cheap
		}
		if d := Distance(strings.ToLower(name), strings.ToLower(k)); d < least && 3*d <= len(name) {
			best, least = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "known here: " + strings.Join(known, ", ")
}

// Distance counts the letters to insert, delete, replace or swap with their neighbour to make b of a. Case counts. Time and memory
// grow with the product of the lengths, which is why Suggest skips names that are much too long.
func Distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	rows := make([][]int, len(from)+1)
	for i := range rows {
		rows[i] = make([]int, len(to)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(from); i++ {
		for j := 1; j <= len(to); j++ {
			replaced := rows[i-1][j-1]
			if from[i-1] != to[j-1] {
				replaced++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replaced)
			if i > 1 && j > 1 && from[i-1] == to[j-2] && from[i-2] == to[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(from)][len(to)]
}
