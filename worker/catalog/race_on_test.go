//go:build race

package catalog_test

// raceDetector makes everything about ten times slower.
const raceDetector = true
