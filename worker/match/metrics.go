package match

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what becomes of posts. Labels are bounded by the catalog: rules and results.
type Metrics struct {
	posts       *prometheus.CounterVec
	matches     *prometheus.CounterVec
	ruleErrors  *prometheus.CounterVec
	redelivered prometheus.Counter
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		posts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postlink_posts_total",
			Help: "Posts settled, by result: matched, unmatched, known (the ledger had a link already), undecodable, crashed, too-large.",
		}, []string{"result"}),
		matches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postlink_rule_matches_total", Help: "Posts that a rule took.",
		}, []string{"rule"}),
		ruleErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postlink_rule_errors_total", Help: "Conditions that failed on a post, by rule; they count as not matched.",
		}, []string{"rule"}),
		redelivered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "postlink_posts_redelivered_total", Help: "Posts that were delivered more than once.",
		}),
	}
	r.MustRegister(m.posts, m.matches, m.ruleErrors, m.redelivered)
	return m
}
