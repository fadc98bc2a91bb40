package deliver

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what becomes of links. Labels are bounded by the catalog: instances and results.
type Metrics struct {
	links    *prometheus.CounterVec
	failures *prometheus.CounterVec
	delivery *prometheus.HistogramVec
	waiting  *prometheus.GaugeVec
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		links: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postlink_links_total", Help: "Links that reached their end, by instance and result: linked, dead.",
		}, []string{"instance", "result"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postlink_delivery_failures_total",
			Help: "Attempts after which their link waits, by instance and what follows: retry, throttle, park.",
		}, []string{"instance", "result"}),
		delivery: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postlink_delivery_seconds", Help: "Time that one attempt took, all its requests together.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}, []string{"instance"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "postlink_instance_waiting", Help: "1 while an instance is sent nothing, by why: disabled, parked, throttled.",
		}, []string{"instance", "why"}),
	}
	r.MustRegister(m.links, m.failures, m.delivery, m.waiting)
	return m
}
