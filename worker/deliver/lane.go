package deliver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/payload"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/event"
	"postlink/worker/ledger"
	"postlink/worker/outbox"
)

const (
	// attemptTime bounds one attempt, all its requests together.
	attemptTime = 45 * time.Second

	// retrySoon is how long a link is put off when it was not attempted: NATS did not answer, or the worker stops.
	retrySoon = 2 * time.Second
)

// lane is the deliveries of one worker to one instance. Slots of them run at once; what they share is the health, which has its
// own lock, and pulling. Several workers have a lane to the same instance: they share its outbox, and the ledger decides between
// them.
type lane struct {
	*Options
	instance dynamics.Instance
	deleted  bool // the instance is not in the catalog any more; only its name is known
	health   *health
	log      *zap.Logger
	pulling  atomic.Bool
}

func newLane(o *Options, i dynamics.Instance, deleted bool) *lane {
	log := o.Log.With(zap.String("instance", i.Name))
	return &lane{Options: o, instance: i, deleted: deleted, health: newHealth(i.Name, o, log), log: log}
}

// run delivers until ctx ends, and lets the attempts under way finish then.
func (l *lane) run(ctx context.Context) {
	c := bus.Consumption{Slots: l.Slots, Buffer: 2 * l.Slots, Drain: l.Drain, Log: l.log, Pulling: l.pulling.Store}
	var running sync.WaitGroup
	if !l.deleted {
		c.Gate = l.health.wait
		running.Go(func() { l.health.run(ctx, l.ask) })
	}
	l.Outboxes.Take(ctx, l.instance.Name, c, l.handle)
	running.Wait()
}

// ready reports whether the lane takes links, or is held back on purpose.
func (l *lane) ready() bool { return l.pulling.Load() || !l.deleted && !l.health.open() }

// disable follows the catalog. Links of a deleted instance never wait: they become dead letters.
func (l *lane) disable(disabled bool) {
	if !l.deleted {
		l.health.disable(disabled)
	}
}

// ask is the probe: it finds out which organization is behind the instance, and whether it takes social data.
func (l *lane) ask(ctx context.Context) (dynamics.Organization, error) {
	client, err := l.Client(l.instance)
	if err != nil {
		return dynamics.Organization{}, dialError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	org, err := client.Organization(ctx)
	if err == nil {
		err = org.RefusesSocialData()
	}
	return org, err
}

// handle attempts one link, classifies the result and applies the outcome. When the outcome cannot be written the entry comes
// again: the attempt is then repeated, which is harmless, because the record is created under a GUID that is derived from the link.
func (l *lane) handle(ctx context.Context, d bus.Delivery) bus.Settlement {
	began := l.Now()
	entry, err := l.attempt(ctx, d)
	outcome := classify(err, failing{l.failingFor(entry, began), l.MaxAge})
	settlement, err := l.apply(ctx, d, entry, outcome, began)
	if err != nil {
		l.log.Warn("cannot write what became of a link, trying again", zap.Error(err), zap.Duration("delay", retrySoon))
		return bus.Again(bus.Spread(retrySoon))
	}
	return settlement
}

// failingFor is for how long the attempts of an entry's current link have failed.
func (l *lane) failingFor(entry ledger.Entry, now time.Time) time.Duration {
	if len(entry.Links) == 0 || entry.Current().Attempts == 0 {
		return 0
	}
	return now.Sub(entry.Current().FailedAt)
}

// attempt makes the record of one link, and returns the ledger's entry as it was read before.
func (l *lane) attempt(ctx context.Context, d bus.Delivery) (entry ledger.Entry, err error) {
	waiting, err := outbox.Read(d.Message)
	if err != nil {
		return entry, foreignError{fmt.Errorf("an entry in the outbox of %s was not put there by postlink: %w", l.instance.Name, err)}
	}
	if entry, err = l.look(ctx, waiting); err != nil {
		return entry, err
	}
	began := l.Now()
	err = l.create(ctx, entry, waiting.Data)
	l.Metrics.delivery.WithLabelValues(l.instance.Name).Observe(l.Now().Sub(began).Seconds())
	if err != nil && ctx.Err() != nil {
		return entry, postponedError{err} // stopped: nothing is known, and the next delivery finds out
	}
	return entry, err
}

// look reads the link of an entry from the ledger, and returns an error when there is nothing to send: errSuperseded when the post
// has a newer link, or one to another instance; errRepeated when the link is finished; errDeleted when the instance is gone; a
// foreignError when the ledger knows less than the entry, as after a restore of an old backup; a postponedError when NATS failed.
func (l *lane) look(ctx context.Context, waiting outbox.Entry) (ledger.Entry, error) {
	entry, err := l.Ledger.Find(ctx, waiting.Post)
	if errors.Is(err, ledger.ErrNotFound) {
		entry, err = ledger.Entry{Post: waiting.Post, Sequence: waiting.Sequence}, nil
	}
	if err == nil && entry.NextGeneration() == waiting.Generation && !entry.Active() {
		// A link by hand is queued before it is decided. That request stopped in between, so the decision is written here.
		entry, err = l.Ledger.Decide(ctx, entry, waiting.Decision)
		if errors.Is(err, ledger.ErrStale) && (entry.Active() || entry.NextGeneration() != waiting.Generation) {
			err = nil // somebody else decided meanwhile; entry is what the ledger has now
		}
	}
	if err != nil {
		return entry, postponedError{err}
	}
	if entry.NextGeneration() <= waiting.Generation {
		return entry, foreignError{fmt.Errorf("the ledger knows %d links of post %s, and this is number %d; was it restored from a backup?",
			len(entry.Links), waiting.Post, waiting.Generation)}
	}
	link := entry.Current()
	switch {
	case link.Generation != waiting.Generation || link.Instance != l.instance.Name:
		return entry, errSuperseded
	case link.State != ledger.Queued:
		return entry, errRepeated
	case l.deleted:
		return entry, l.confirmDeleted(ctx)
	default:
		return entry, nil
	}
}

// confirmDeleted asks the catalog itself: another worker may know already that the instance was added again.
func (l *lane) confirmDeleted(ctx context.Context) error {
	revision, err := l.Catalog.Current(ctx)
	if err == nil {
		_, err = revision.Catalog.Instance(l.instance.Name)
	}
	if _, gone := errors.AsType[*catalog.NotFoundError](err); gone || errors.Is(err, catalog.ErrEmpty) {
		return errDeleted
	}
	if err == nil {
		err = errAddedAgain
	}
	return postponedError{err}
}

// create makes the record, with one request when the client remembers the author of the post, else with several; attemptTime bounds
// them together. It may be repeated, also by two workers at once: every record has a GUID that follows from the link or the author.
// A crash in it is an error of this link, not of the process.
func (l *lane) create(ctx context.Context, entry ledger.Entry, data []byte) (err error) {
	defer func() {
		if crash := recover(); crash != nil {
			err = &crashError{crash, debug.Stack()}
		}
	}()
	post, err := payload.DecodePost(data)
	if err != nil {
		return unbuildableError{err}
	}
	link := entry.Current()
	activity, err := payload.Build(post, payload.Options{Entity: link.Entity, Notes: link.Notes, Backlink: l.backlink(entry.Post)})
	if err != nil {
		return unbuildableError{err}
	}
	client, err := l.Client(l.instance)
	if err != nil {
		return dialError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	return client.Create(ctx, dynamics.Activity{ID: link.ID, Network: post.Network, SocialActivity: activity})
}

func (l *lane) backlink(post ledger.Key) string {
	if l.PostsURL == "" {
		return ""
	}
	return l.PostsURL + post.PathName()
}

// apply carries out an outcome. It returns an error when NATS failed, or when another worker moved the link first; the entry is then
// delivered again, so that the ack always comes last.
func (l *lane) apply(ctx context.Context, d bus.Delivery, entry ledger.Entry, o Outcome, began time.Time) (bus.Settlement, error) {
	if o.Verdict == Retry || o.Verdict == Park || o.Verdict == Throttle {
		l.Metrics.failures.WithLabelValues(l.instance.Name, o.Verdict.String()).Inc()
	}
	switch o.Verdict {
	case Linked:
		l.health.accepted()
		return bus.Ack(), l.finish(ctx, d, entry, ledger.Step{State: ledger.Linked})
	case Dead:
		if o.Stack != "" {
			l.linkLog(entry).Error("the delivery of a link crashed", zap.String("reason", o.Reason), zap.String("stack", o.Stack))
		}
		return bus.Ack(), l.finish(ctx, d, entry, ledger.Step{State: ledger.Dead, Reason: o.Reason, Code: o.Code})
	case Superseded:
		return bus.Ack(), nil
	case Repeated:
		return bus.Ack(), l.publish(ctx, entry, d.Data)
	case Foreign:
		l.log.Error("an entry of the outbox becomes a dead letter", zap.Uint64("sequence", d.Sequence), zap.String("reason", o.Reason))
		return bus.Ack(), l.Letters.BuryPost(ctx, deadletter.Letter{
			Reason: o.Reason, Code: o.Code, Post: entry.Post, PostSequence: entry.Sequence, Data: d.Data,
		})
	case Park:
		if l.health.park(o) {
			l.log.Error("the instance is parked: nothing is sent, nothing is lost", zap.String("code", o.Code), zap.String("reason", o.Reason))
		}
		return bus.Again(bus.Spread(retrySoon)), nil // the health of the instance holds it back, and not a pause of its own
	case Throttle:
		l.health.throttle(o.Wait)
		l.log.Info("the instance is throttled", zap.Duration("delay", o.Wait))
		return bus.Again(bus.Spread(retrySoon)), nil
	case Postpone:
		if ctx.Err() == nil {
			l.log.Warn("cannot attempt a link, trying again", zap.String("reason", o.Reason), zap.Duration("delay", retrySoon))
		}
		return bus.Again(bus.Spread(retrySoon)), nil
	default:
		return l.retry(ctx, entry, o, began)
	}
}

// retry counts the attempt and puts the link off. The delay grows with the number of attempts. The count is kept in the ledger:
// NATS also counts deliveries that made no attempt, as while the instance is parked. Of two workers that failed with the same link
// at once, one counts.
func (l *lane) retry(ctx context.Context, entry ledger.Entry, o Outcome, began time.Time) (bus.Settlement, error) {
	l.health.failed(o.Reason)
	attempt := entry.Current().Attempts + 1
	delay := bus.Spread(l.Pauses.backoff(attempt))
	l.linkLog(entry).Warn("cannot deliver a link, trying again",
		zap.Int("attempt", attempt), zap.Duration("delay", delay), zap.String("code", o.Code))
	_, err := l.Ledger.Note(ctx, entry, func(link *ledger.Link) {
		if link.Attempts = attempt; attempt == 1 {
			link.FailedAt = began.UTC()
		}
		link.LastError = o.Reason
	})
	if errors.Is(err, ledger.ErrStale) {
		err = nil // another worker has it too, and has written more
	}
	return bus.Again(delay), err
}

func (l *lane) linkLog(entry ledger.Entry) *zap.Logger {
	link := entry.Current()
	return l.log.With(zap.String("post_id", entry.Post.PostID), zap.Stringer("link_id", link.ID), zap.String("entity", link.Entity),
		zap.String("rule", link.Rule))
}

// finish moves the link in the ledger and publishes the change. If two workers try, one gets ErrStale: its entry is delivered
// again and finds the new state.
func (l *lane) finish(ctx context.Context, d bus.Delivery, entry ledger.Entry, step ledger.Step) error {
	step.By = "postlink"
	moved, err := l.Ledger.Move(ctx, entry, step, func(link *ledger.Link) {
		if step.State == ledger.Linked {
			link.LastError = ""
		}
		link.Organization = l.health.organization().ID
	})
	if err != nil {
		return err
	}
	l.Metrics.links.WithLabelValues(l.instance.Name, string(step.State)).Inc()
	if step.State == ledger.Dead {
		l.linkLog(moved).Error("a link is dead and waits for a person; postlink dead list says why", zap.String("code", step.Code))
	} else {
		l.linkLog(moved).Info("linked")
	}
	return l.publish(ctx, moved, d.Data)
}

// publish publishes what became of a link: its event, and its dead letter when it is dead. Repeating it is harmless.
func (l *lane) publish(ctx context.Context, entry ledger.Entry, data []byte) error {
	link := entry.Current()
	url := ""
	if link.State == ledger.Dead {
		if err := l.Letters.BuryLink(ctx, entry, data); err != nil {
			return err
		}
	} else if !l.deleted { // else its address is not known any more
		if client, err := l.Client(l.instance); err == nil {
			url = client.RecordURL("socialactivity", link.ID)
		}
	}
	return l.Events.Publish(ctx, event.Of(entry, url))
}
