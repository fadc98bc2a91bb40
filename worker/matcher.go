package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"postlink/payload"
	"postlink/rules"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/ledger"
)

// retryPost is how long a post waits that could not be handled for a reason outside of it: NATS did not answer, an outbox
// is full. Posts are never given up for such reasons.
const retryPost = 2 * time.Second

// tellFailures is how often failed conditions are told to everybody.
const tellFailures = 5 * time.Second

// MatcherOptions configure a Matcher.
type MatcherOptions struct {
	Bus     *bus.Bus
	Ledger  *ledger.Ledger
	Catalog *catalog.Live // nothing is taken before it is ready
	Metrics *Metrics
	Log     *zap.Logger

	Slots int           // posts handled at once; default 64
	Drain time.Duration // how long posts under way may go on after the context has ended; default 10 s
}

func (o *MatcherOptions) validate() error {
	if o.Bus == nil || o.Ledger == nil || o.Catalog == nil || o.Metrics == nil || o.Log == nil {
		return errors.New("make a matcher: bus, ledger, catalog, metrics and log are needed")
	}
	if o.Slots == 0 {
		o.Slots = 64
	}
	if o.Drain == 0 {
		o.Drain = 10 * time.Second
	}
	return nil
}

// Matcher is the first stage: it takes posts from their stream and puts links into outboxes.
type Matcher struct {
	opts    MatcherOptions
	log     *zap.Logger
	pulling atomic.Bool

	mu     sync.Mutex
	failed map[string]int // conditions that failed, by rule, and were not told yet
}

// NewMatcher makes a Matcher; Run starts it.
func NewMatcher(opts MatcherOptions) (*Matcher, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Matcher{opts: opts, log: opts.Log.Named("matcher"), failed: map[string]int{}}, nil
}

// Pulling reports whether posts are being taken from the stream.
func (m *Matcher) Pulling() bool { return m.pulling.Load() }

// Run matches posts, from the first catalog on until ctx ends, then lets those under way finish.
func (m *Matcher) Run(ctx context.Context) error {
	select {
	case <-m.opts.Catalog.Ready():
	case <-ctx.Done():
		return nil
	}
	in := intake{
		open:    m.opts.Bus.Posts,
		slots:   m.opts.Slots,
		buffer:  max(500, 8*m.opts.Slots),
		drain:   m.opts.Drain,
		log:     m.log,
		pulling: m.pulling.Store,
	}
	var teller sync.WaitGroup
	teller.Go(func() {
		for sleep(ctx, tellFailures) {
			m.tellFailures(ctx)
		}
	})
	defer m.tellFailures(context.WithoutCancel(ctx))
	defer teller.Wait()
	return in.run(ctx, m.settle)
}

// tellFailures tells how often conditions failed since it was told last, for the statistics of rules.
func (m *Matcher) tellFailures(ctx context.Context) {
	m.mu.Lock()
	failed := m.failed
	m.failed = map[string]int{}
	m.mu.Unlock()
	if len(failed) == 0 {
		return
	}
	for rule, n := range failed {
		m.log.Warn("a condition fails and counts as not matched; correct the rule", zap.String("rule", rule), zap.Int("posts", n))
	}
	data, err := json.Marshal(failures{At: time.Now().UTC(), Rules: failed})
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, retryPost)
		defer cancel()
		err = m.opts.Bus.PublishEvent(ctx, failuresSubject, "", data)
	}
	if err != nil {
		m.log.Warn("cannot tell which conditions failed; the statistics of rules lack them", zap.Error(err))
	}
}

// settle is the one place where a post is acknowledged or put off.
func (m *Matcher) settle(ctx context.Context, msg jetstream.Msg) {
	var result string
	meta, err := msg.Metadata()
	if err == nil {
		result, err = m.handle(ctx, msg.Data(), meta)
	}
	if err != nil {
		if !errors.Is(err, bus.ErrOutboxFull) {
			m.log.Warn("cannot settle a post, trying again", zap.Error(err), zap.Duration("delay", retryPost))
		}
		err = msg.NakWithDelay(retryPost)
	} else {
		m.opts.Metrics.posts.WithLabelValues(result).Inc()
		err = msg.Ack()
	}
	if err != nil {
		m.log.Debug("cannot answer for a post; it will come again", zap.Error(err))
	}
}

// handle brings one post to its place and names the result for the counters. An error means: later again.
func (m *Matcher) handle(ctx context.Context, data []byte, meta *jetstream.MsgMetadata) (result string, err error) {
	sequence := meta.Sequence.Stream
	defer func() {
		if crash := recover(); crash != nil {
			m.log.Error("a post crashed its handling and becomes a dead letter", zap.Uint64("sequence", sequence))
			result = "crashed"
			err = buryPost(ctx, m.opts.Bus, postLetter(sequence), sequence, data, fmt.Sprintf("crash: %v", crash), string(debug.Stack()))
		}
	}()
	post, err := payload.DecodePost(data)
	if err != nil {
		return "undecodable", buryPost(ctx, m.opts.Bus, postLetter(sequence), sequence, data, err.Error(), "")
	}
	key := ledger.Key{Network: post.Source, PostID: post.ID}
	if meta.NumDelivered > 1 {
		m.opts.Metrics.redelivered.Inc()
		entry, err := m.opts.Ledger.Find(ctx, key)
		if err == nil {
			return m.enqueue(ctx, entry, sequence, data)
		}
		if !errors.Is(err, ledger.ErrNotFound) {
			return "", err
		}
	}
	revision := m.opts.Catalog.Current()
	match := revision.Set.Match(post, meta.Timestamp)
	m.countFailures(post, match)
	if match.Rule == nil {
		return "unmatched", nil
	}
	if !m.opts.Bus.Fits(pointerHeader(key, 1), data) {
		return "too large", buryPost(ctx, m.opts.Bus, postLetter(sequence), sequence, data, fmt.Sprintf(
			"rule %s takes this post, but its %d bytes are too many to be queued; raise max_payload of NATS and redrive this letter", match.Rule.Name, len(data)), "")
	}
	entry, _, err := m.opts.Ledger.Plan(ctx, key, sequence, decide(post, match.Rule, revision.ID))
	if err != nil {
		return "", err
	}
	return m.enqueue(ctx, entry, sequence, data)
}

// decide is what a rule decides about a post: the first generation of its link.
func decide(post *payload.Post, rule *rules.Rule, revision string) ledger.Decision {
	return ledger.Decision{
		ID:       payload.ActivityID(rule.Link.Instance, post.Source, post.ID, 1),
		Instance: rule.Link.Instance,
		Entity:   rule.Link.Entity,
		Rule:     rule.Name,
		Catalog:  revision,
		Notes:    rule.Link.Notes,
		By:       "rule " + rule.Name,
	}
}

// enqueue puts the post's link into its outbox, if it still has to be delivered, and names the result: the post was matched,
// or the ledger knew it from another delivery of its own.
func (m *Matcher) enqueue(ctx context.Context, entry ledger.Entry, sequence uint64, data []byte) (result string, err error) {
	if err := enqueue(ctx, m.opts.Bus, entry, data); err != nil {
		return "", err
	}
	if entry.Sequence != sequence {
		return "known", nil
	}
	if link := entry.Links[0]; link.Rule != "" {
		m.opts.Metrics.matches.WithLabelValues(link.Rule).Inc()
	}
	return "matched", nil
}

// enqueue puts the current link of an entry into the outbox of its instance. Doing it twice is harmless: what the outbox
// holds is only a pointer into the ledger, with the post that goes along.
func enqueue(ctx context.Context, b *bus.Bus, entry ledger.Entry, data []byte) error {
	link := entry.Current()
	if link.State != ledger.Queued {
		return nil
	}
	if err := b.Enqueue(ctx, link.Instance, link.ID.String(), pointerHeader(entry.Post, link.Generation), data); err != nil {
		return err
	}
	event := newEvent(entry, "")
	return b.PublishEvent(ctx, event.subject(), event.key(), event.encode())
}

// pointerHeader points from an outbox into the ledger.
func pointerHeader(post ledger.Key, generation int) nats.Header {
	return nats.Header{headerPost: {post.Encode()}, headerGeneration: {strconv.Itoa(generation)}}
}

func (m *Matcher) countFailures(post *payload.Post, match rules.Match) {
	for _, f := range match.Failed {
		m.opts.Metrics.ruleErrors.WithLabelValues(f.Rule.Name).Inc()
		m.mu.Lock()
		m.failed[f.Rule.Name]++
		m.mu.Unlock()
		m.log.Debug("a condition failed on a post", zap.String("rule", f.Rule.Name), zap.String("post_id", post.ID), zap.Error(f.Err))
	}
}
