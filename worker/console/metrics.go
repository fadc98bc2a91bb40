package console

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count requests. Labels are bounded by the routes of the API: the pattern and not the path, the class of the status and not
// the status. The buckets go from 1 ms to 65 s, which is about as long as a request may wait for a link. Streams are counted when
// they end, and not measured, since they last as long as their clients like.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postlink_http_requests_total", Help: "Requests to the API, by route and class of the answer's status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postlink_http_request_seconds", Help: "Time that requests to the API took, streams excepted.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"route"}),
	}
	r.MustRegister(m.requests, m.seconds)
	return m
}

// count notes a request; route is the pattern that it matched, or none.
func (m *metrics) count(route string, status int, took time.Duration, stream bool) {
	m.requests.WithLabelValues(route, strconv.Itoa(status/100)+"xx").Inc()
	if !stream {
		m.seconds.WithLabelValues(route).Observe(took.Seconds())
	}
}
