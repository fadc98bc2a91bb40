// Package console is what people and programs see of a running postlink over HTTP: health, readiness and metrics.
//
// It asks and shows; what it shows is decided in package worker and below.
package console
