// Package match is the first stage of a post's path: it takes posts from their stream, decides once which rule takes each of
// them, freezes the decision in the ledger and puts the link into the outbox of its instance.
//
// A post is acknowledged when it is in its place: not matched, in an outbox, known to the ledger from before, or a dead letter
// with a reason. A post that cannot be handled now, for example because an outbox is full, is put off and never given up. A post
// that is delivered again is looked up in the ledger first, so that a catalog change between two deliveries makes no second
// decision.
//
// The package knows nothing of Dynamics.
package match

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"postlink/payload"
	"postlink/rules"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/event"
	"postlink/worker/ledger"
	"postlink/worker/outbox"
	"postlink/worker/posts"
)

const (
	// retryPause is how long a post is put off.
	retryPause = 2 * time.Second

	// publishFailures is how often failed conditions are published for the statistics of rules.
	publishFailures = 5 * time.Second
)

// Options configure a Matcher. All of them are needed where no default is named.
type Options struct {
	Posts    *posts.Posts
	Ledger   *ledger.Ledger
	Outboxes *outbox.Outboxes
	Letters  *deadletter.Letters
	Events   *event.Events
	Catalog  *catalog.Live // nothing is taken before it is ready
	Metrics  *Metrics
	Log      *zap.Logger

	Slots int              // posts handled at once; default 64
	Drain time.Duration    // how long posts under way may go on after the context has ended; default 10 s
	Now   func() time.Time // default time.Now
}

func (o *Options) validate() error {
	if o.Posts == nil || o.Ledger == nil || o.Outboxes == nil || o.Letters == nil || o.Events == nil || o.Catalog == nil ||
		o.Metrics == nil || o.Log == nil {
		return errors.New("make a matcher: posts, ledger, outboxes, letters, events, catalog, metrics and log are needed")
	}
	o.Slots = cmp.Or(o.Slots, 64)
	o.Drain = cmp.Or(o.Drain, 10*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Matcher is the first stage. Run may be called once. Slots posts are handled at once, and not in the order of their arrival: a
// post is decided by itself, so no order is needed. The mutex guards failed alone.
type Matcher struct {
	opts    Options
	log     *zap.Logger
	pulling atomic.Bool
	notices *notices

	mu     sync.Mutex
	failed map[string]int // posts on which conditions failed, by rule, since they were published last
}

// New makes a Matcher.
func New(opts Options) (*Matcher, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Matcher{opts: opts, log: opts.Log.Named("match"), notices: newNotices(opts.Now), failed: map[string]int{}}, nil
}

// Pulling reports whether posts are being taken from the stream. Any goroutine may call it. It is false before the first catalog.
func (m *Matcher) Pulling() bool { return m.pulling.Load() }

// Run matches posts, from the first catalog on until ctx ends, then lets those under way finish within Options.Drain. Posts that were
// taken ahead are given back to NATS at once. It returns nil: while NATS is away it waits.
func (m *Matcher) Run(ctx context.Context) error {
	select {
	case <-m.opts.Catalog.Ready():
	case <-ctx.Done():
		return nil
	}
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for bus.Sleep(ctx, publishFailures) {
			m.publishFailures(ctx)
			m.logBuried(m.notices.overdue())
		}
	})
	m.opts.Posts.Take(ctx, bus.Consumption{
		Slots: m.opts.Slots, Buffer: max(500, 8*m.opts.Slots), Drain: m.opts.Drain, Log: m.log, Pulling: m.pulling.Store,
	}, m.handle)
	publisher.Wait()
	m.publishFailures(ctx)
	m.logBuried(m.notices.rest())
	return nil
}

// Results of posts, as postlink_posts_total counts them.
const (
	resultMatched     = "matched"
	resultUnmatched   = "unmatched"
	resultKnown       = "known" // the ledger had a link of the post already
	resultUndecodable = deadletter.CodeUndecodable
	resultCrashed     = deadletter.CodeCrashed
	resultTooLarge    = deadletter.CodeTooLarge
)

// handle brings one post to its place, and puts it off when that is not possible now.
func (m *Matcher) handle(ctx context.Context, d bus.Delivery) bus.Settlement {
	result, err := m.place(ctx, d)
	if err == nil {
		m.opts.Metrics.posts.WithLabelValues(result).Inc()
		return bus.Ack()
	}
	if !errors.Is(err, outbox.ErrFull) { // that lasts for long, and the status of the instance says why
		m.log.Warn("cannot handle a post, trying again", zap.Uint64("sequence", d.Sequence), zap.Error(err), zap.Duration("delay", retryPause))
	}
	return bus.Again(bus.Spread(retryPause))
}

// place brings one post to its place. A crash on the way makes a dead letter of it. Only a post that is delivered again is looked up
// in the ledger first: a look-up for every post would cost a round trip for each. Where a rule matches, Freeze finds an earlier
// decision anyway; the look-up is for a post that was decided and that no rule matches any more.
func (m *Matcher) place(ctx context.Context, d bus.Delivery) (result string, err error) {
	var post *payload.Post
	defer func() {
		if crash := recover(); crash != nil {
			result, err = m.bury(ctx, d, post, resultCrashed, fmt.Sprintf("crash: %v", crash), string(debug.Stack()))
		}
	}()
	if post, err = payload.DecodePost(d.Data); err != nil {
		return m.bury(ctx, d, nil, resultUndecodable, err.Error(), "")
	}
	if d.Times > 1 {
		m.opts.Metrics.redelivered.Inc()
		entry, err := m.opts.Ledger.Find(ctx, ledger.KeyOf(post))
		if err == nil {
			return m.queue(ctx, post, entry, d)
		}
		if !errors.Is(err, ledger.ErrNotFound) {
			return "", err
		}
	}
	return m.match(ctx, post, d)
}

// match decides about a post under the catalog in force, which is taken once, so that a change meanwhile does not divide the
// decision. Most posts end here without a write: a post that no rule takes leaves no trace but its place in the stream. That the
// link fits into the outbox is known before the decision is frozen, or the ledger would keep a link that can never be delivered.
func (m *Matcher) match(ctx context.Context, post *payload.Post, d bus.Delivery) (result string, err error) {
	revision := m.opts.Catalog.Current()
	match := revision.Set.Match(post, d.At)
	for _, f := range match.Failed {
		m.countFailure(post, f)
	}
	if match.Rule == nil {
		return resultUnmatched, nil
	}
	key, decision := ledger.KeyOf(post), decide(match.Rule, revision.ID)
	if next := m.opts.Ledger.Next(ledger.Entry{Post: key, Sequence: d.Sequence}, decision); !m.opts.Outboxes.Fits(next, d.Data) {
		return m.bury(ctx, d, post, resultTooLarge, fmt.Sprintf(
			"rule %s takes this post, but its %d bytes are too many to be queued; raise max_payload of NATS and redrive this letter",
			match.Rule.Name, len(d.Data)), "")
	}
	entry, frozen, err := m.opts.Ledger.Freeze(ctx, key, d.Sequence, decision)
	if err != nil {
		return "", err
	}
	if frozen {
		m.opts.Metrics.matches.WithLabelValues(match.Rule.Name).Inc()
	}
	return m.queue(ctx, post, entry, d)
}

func decide(rule *rules.Rule, revision string) ledger.Decision {
	return ledger.Decision{
		Instance: rule.Link.Instance, Entity: rule.Link.Entity, Rule: rule.Name, Catalog: revision, Notes: rule.Link.Notes,
		By: "rule " + rule.Name,
	}
}

// queue puts the post's link into its outbox, if it is still to be delivered. Doing it twice is harmless: the lane that takes the
// second entry finds the link finished. A full outbox is the error outbox.ErrFull, which puts the post off.
func (m *Matcher) queue(ctx context.Context, post *payload.Post, entry ledger.Entry, d bus.Delivery) (result string, err error) {
	if entry.Current().State == ledger.Queued {
		err := m.opts.Outboxes.Put(ctx, entry, d.Data)
		if errors.Is(err, outbox.ErrTooLarge) { // another form of the post, or max_payload, let the link into the ledger
			return m.bury(ctx, d, post, resultTooLarge, fmt.Sprintf(
				"the link of this post to %s is queued, but the %d bytes of the post are too many to be sent along; if the link still "+
					"waits, raise max_payload of NATS and redrive this letter, else drop the letter", entry.Current().Instance, len(d.Data)), "")
		}
		if err != nil {
			return "", err
		}
		if err := m.opts.Events.Publish(ctx, event.Of(entry, "")); err != nil {
			return "", err
		}
	}
	if entry.Sequence != d.Sequence {
		return resultKnown, nil // the same post arrived before
	}
	return resultMatched, nil
}

// bury makes a dead letter of a post, whose code is also its result. The post is acknowledged only when the letter is kept. The id of
// a post that could not be decoded, which is nil, is read as far as that is possible, so that people find the letter under it.
func (m *Matcher) bury(ctx context.Context, d bus.Delivery, post *payload.Post, code, reason, stack string) (result string, err error) {
	letter := deadletter.Letter{Code: code, Reason: reason, Stack: stack, PostSequence: d.Sequence, Data: d.Data}
	if post != nil {
		letter.Post = ledger.KeyOf(post)
	} else if network, id := payload.Glance(d.Data); id != "" {
		letter.Post = ledger.Key{Network: network, PostID: id}
	}
	if err := m.opts.Letters.BuryPost(ctx, letter); err != nil {
		return "", err
	}
	if due := m.notices.add(code, reason); due != nil {
		example := []zap.Field{zap.Uint64("sequence", d.Sequence), zap.String("post_id", letter.Post.PostID)}
		if stack != "" {
			example = append(example, zap.String("stack", stack))
		}
		m.logBuried([]notice{*due}, example...)
	}
	return code, nil
}

// logBuried logs why posts became dead letters, and how many did.
func (m *Matcher) logBuried(due []notice, example ...zap.Field) {
	for _, n := range due {
		log := m.log.With(zap.String("code", n.code), zap.String("reason", n.reason), zap.Int("posts", n.count))
		if n.code == resultCrashed {
			log.Error("posts crashed their handling and are dead letters; report the stack that they carry", example...)
		} else {
			log.Warn("posts are dead letters; postlink dead list shows them", example...)
		}
	}
}

// countFailure counts a condition that failed on a post. The post's text stays out of the log: it is private.
func (m *Matcher) countFailure(post *payload.Post, f rules.Failure) {
	m.opts.Metrics.ruleErrors.WithLabelValues(f.Rule.Name).Inc()
	m.mu.Lock()
	m.failed[f.Rule.Name]++
	m.mu.Unlock()
	m.log.Debug("a condition failed on a post", zap.String("rule", f.Rule.Name), zap.String("post_id", post.ID), zap.Error(f.Err))
}

// publishFailures publishes how often conditions failed since it was published last. They are collected because a condition may
// fail on every post, and an event for each of them would be more writes than all links together.
func (m *Matcher) publishFailures(ctx context.Context) {
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), retryPause) // also while stopping: they were removed above
	defer cancel()
	if err := m.opts.Events.PublishFailures(ctx, m.opts.Now(), failed); err != nil {
		m.log.Warn("cannot publish which conditions failed; the statistics of rules lack them", zap.Error(err))
	}
}
