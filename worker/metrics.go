package worker

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what becomes of posts and links. Labels are bounded by the catalog: rules, instances and results.
type Metrics struct {
	posts       *prometheus.CounterVec
	matches     *prometheus.CounterVec
	ruleErrors  *prometheus.CounterVec
	links       *prometheus.CounterVec
	retries     *prometheus.CounterVec
	delivery    *prometheus.HistogramVec
	closed      *prometheus.GaugeVec
	redelivered prometheus.Counter
}

// NewMetrics makes the worker's metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		posts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postlink_posts_total",
			Help: "Posts settled, by result: matched, unmatched, known (the ledger had a link already), undecodable, crashed.",
		}, []string{"result"}),
		matches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postlink_rule_matches_total", Help: "Posts that a rule took.",
		}, []string{"rule"}),
		ruleErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postlink_rule_errors_total", Help: "Conditions that failed on a post, by rule; they count as not matched.",
		}, []string{"rule"}),
		links: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postlink_links_total", Help: "Links settled, by instance and result: linked, dead.",
		}, []string{"instance", "result"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postlink_delivery_failures_total",
			Help: "Deliveries that did not settle their link, by instance and what follows: retry, throttle, park.",
		}, []string{"instance", "result"}),
		delivery: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postlink_delivery_seconds", Help: "Time that one delivery to Dynamics took, all its requests together.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}, []string{"instance"}),
		closed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "postlink_instance_waiting", Help: "1 while an instance is sent nothing, by why: disabled, parked, throttled.",
		}, []string{"instance", "why"}),
		redelivered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "postlink_posts_redelivered_total", Help: "Posts that were delivered more than once.",
		}),
	}
	r.MustRegister(m.posts, m.matches, m.ruleErrors, m.links, m.retries, m.delivery, m.closed, m.redelivered)
	return m
}
