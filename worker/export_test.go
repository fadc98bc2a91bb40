package worker

import "time"

// Judge is judge, with its verdict as a word.
func Judge(err error) (verdict string, wait time.Duration, reason string) {
	j := judge(err)
	return j.verdict.String(), j.wait, j.reason
}
