package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/worker/bus"
	"postlink/worker/ledger"
)

// deliveryTime bounds one delivery, all its requests together.
const deliveryTime = 45 * time.Second

// unplannedTries is how often an entry of the outbox may come without a plan in the ledger. At a second each they take longer
// than JetStream's duplicate window; clocks of two machines would not do to tell.
const unplannedTries = 400

// seenEvery is how often a lane writes down that its instance answers.
const seenEvery = time.Minute

// lane delivers the links of one instance. It starts parked: the first probe opens it. The lane of an instance that was
// deleted is closing: it gives up what still waits.
type lane struct {
	d        *Deliverer
	instance dynamics.Instance
	log      *zap.Logger
	gate     *gate
	wake     chan struct{} // tells the prober that the lane was parked
	pulling  atomic.Bool
	client   atomic.Pointer[dynamics.Client]
	org      atomic.Pointer[dynamics.Organization]

	mu         sync.Mutex
	state      InstanceState
	parkedFor  string        // why it was parked last; empty since it took a link
	probePause time.Duration // between two probes

	cancel context.CancelFunc
	done   chan struct{}
}

func newLane(d *Deliverer, instance dynamics.Instance) *lane {
	l := &lane{
		d: d, instance: instance, log: d.log.With(zap.String("instance", instance.Name)),
		wake: make(chan struct{}, 1), done: make(chan struct{}), probePause: d.opts.ProbeEvery,
	}
	l.gate = newGate(d.opts.Now, func(why string, closed bool) {
		value := 0.0
		if closed {
			value = 1
		}
		d.opts.Metrics.closed.WithLabelValues(instance.Name, why).Set(value)
	})
	if !l.closing() {
		l.gate.close(whyParked, time.Time{})
	}
	return l
}

// closing reports whether the instance is no longer in the catalog.
func (l *lane) closing() bool { return l.instance.URL == "" }

// start runs the lane until stop is called or ctx ends.
func (l *lane) start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	var wg sync.WaitGroup
	if !l.closing() {
		wg.Go(func() { l.probe(ctx) })
	}
	wg.Go(func() { l.deliver(ctx) })
	go func() {
		defer close(l.done)
		wg.Wait()
	}()
}

// stop ends the lane and waits until the deliveries under way are finished.
func (l *lane) stop() {
	l.cancel()
	<-l.done
	if client := l.client.Load(); client != nil {
		client.CloseIdleConnections()
	}
	for _, why := range []string{whyDisabled, whyParked, whyThrottled} {
		l.d.opts.Metrics.closed.DeleteLabelValues(l.instance.Name, why)
	}
}

// ready reports whether the lane takes links, or is held back on purpose.
func (l *lane) ready() bool { return l.pulling.Load() || l.gate.isClosed() }

func (l *lane) deliver(ctx context.Context) {
	in := intake{
		open: l.open, slots: l.d.opts.Slots, buffer: 2 * l.d.opts.Slots, drain: l.d.opts.Drain,
		log: l.log, pulling: l.pulling.Store, gate: l.gate.wait,
	}
	_ = in.run(ctx, l.settle) // returns when ctx has ended
}

// open declares the outbox, so that links can wait in it while the gate is closed.
func (l *lane) open(ctx context.Context) (jetstream.Consumer, error) {
	outbox, err := l.d.opts.Bus.Outbox(ctx, l.instance.Name)
	if err != nil {
		return nil, err
	}
	return outbox.Consumer(), nil
}

// settle is the one place where an entry of the outbox is acknowledged or put off.
func (l *lane) settle(ctx context.Context, msg jetstream.Msg) {
	delay, err := keepAlive(ctx, msg, func() (time.Duration, error) { return l.handle(ctx, msg) })
	switch {
	case err != nil:
		l.log.Warn("cannot settle a link, trying again", zap.Error(err), zap.Duration("delay", retryPost))
		err = msg.NakWithDelay(retryPost)
	case delay > 0:
		err = msg.NakWithDelay(delay)
	default:
		err = msg.DoubleAck(ctx)
	}
	if err != nil {
		l.log.Debug("cannot answer for a link; it will come again", zap.Error(err))
	}
}

// keepAlive tells NATS, while work goes on, that the message is still in good hands.
func keepAlive(ctx context.Context, msg jetstream.Msg, work func() (time.Duration, error)) (time.Duration, error) {
	ctx, done := context.WithCancel(ctx)
	var teller sync.WaitGroup
	teller.Go(func() {
		for sleep(ctx, bus.DeliverWait/3) {
			_ = msg.InProgress() // without it the link is only delivered twice, which is harmless
		}
	})
	defer teller.Wait()
	defer done()
	return work()
}

// handle delivers one link. A delay says that it is to come again; an error that NATS failed and it has to.
func (l *lane) handle(ctx context.Context, msg jetstream.Msg) (delay time.Duration, err error) {
	key, generation, err := pointer(msg)
	if err != nil { // not written by Matcher or Linker: nothing in the ledger waits for it
		l.log.Error("an entry of the outbox is not ours and becomes a dead letter", zap.Error(err))
		meta, metaErr := msg.Metadata()
		if metaErr != nil {
			return 0, metaErr
		}
		id := fmt.Sprintf("%s-%d", meta.Stream, meta.Sequence.Stream)
		return 0, buryPost(ctx, l.d.opts.Bus, id, 0, msg.Data(), err.Error(), "")
	}
	entry, err := l.d.opts.Ledger.Find(ctx, key)
	if errors.Is(err, ledger.ErrNotFound) || err == nil && entry.Current().Generation < generation {
		return l.unplanned(msg)
	}
	if err != nil {
		return 0, err
	}
	link := entry.Current()
	switch {
	case link.Generation != generation || link.Instance != l.instance.Name:
		return 0, nil // an older link of the post; the current one has an entry of its own
	case link.State == ledger.Queued && l.closing():
		return l.giveUp(ctx, entry, msg.Data())
	case link.State == ledger.Queued:
		return l.send(ctx, entry, msg.Data())
	default: // settled before, but perhaps not told before the crash that brought it back
		return 0, l.tell(ctx, entry, msg.Data())
	}
}

// giveUp makes a dead letter of a link whose instance was deleted. Another worker may know already that it was added again.
func (l *lane) giveUp(ctx context.Context, entry ledger.Entry, data []byte) (time.Duration, error) {
	revision, err := l.d.opts.Catalog.Current(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := revision.Catalog.Instance(l.instance.Name); err == nil {
		return spread(l.d.opts.RetryFirst), nil
	}
	reason := fmt.Sprintf("instance %s was deleted before the link was delivered; add it again and redrive this letter, or link the post elsewhere", l.instance.Name)
	return 0, l.finish(ctx, l.log.With(zap.String("post_id", entry.Post.PostID)), entry, data, ledger.Dead, reason)
}

// unplanned handles an entry that the ledger does not know. By hand, links are put into the outbox first, so it may be only a
// moment early. Nobody was told of one that stays unknown, and it is dropped; not before JetStream has forgotten its id, or a
// second attempt at the link would be taken for a repetition and dropped with it.
func (l *lane) unplanned(msg jetstream.Msg) (time.Duration, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return 0, err
	}
	if meta.NumDelivered > unplannedTries {
		l.log.Warn("dropped a link that was never confirmed", zap.Uint64("sequence", meta.Sequence.Stream))
		return 0, nil
	}
	return spread(time.Second), nil
}

func pointer(msg jetstream.Msg) (ledger.Key, int, error) {
	key, err := ledger.DecodeKey(msg.Headers().Get(headerPost))
	if err != nil {
		return ledger.Key{}, 0, err
	}
	generation, err := strconv.Atoi(msg.Headers().Get(headerGeneration))
	if err != nil {
		return ledger.Key{}, 0, fmt.Errorf("header %s: %w", headerGeneration, err)
	}
	return key, generation, nil
}

// send makes the record and settles the link by what Dynamics answered.
func (l *lane) send(ctx context.Context, entry ledger.Entry, data []byte) (time.Duration, error) {
	link := entry.Current()
	log := l.log.With(zap.String("post_id", entry.Post.PostID), zap.Stringer("link_id", link.ID), zap.String("entity", link.Entity), zap.String("rule", link.Rule))
	began := l.d.opts.Now()
	err := l.create(ctx, entry, data)
	l.d.opts.Metrics.delivery.WithLabelValues(l.instance.Name).Observe(l.d.opts.Now().Sub(began).Seconds())
	if ctx.Err() != nil {
		return 0, ctx.Err() // stopped: nothing is known, and the next delivery finds out
	}
	j := judge(err)
	if j.verdict == retry && link.Attempts > 0 && began.Sub(link.FailedAt) > l.d.opts.MaxAge {
		j.verdict = dead
		j.reason = fmt.Sprintf("not delivered within %s; the last attempt said: %s", l.d.opts.MaxAge, j.reason)
	}
	switch j.verdict {
	case delivered:
		l.seen(ctx)
		return 0, l.finish(ctx, log, entry, data, ledger.Linked, "")
	case dead:
		return 0, l.finish(ctx, log, entry, data, ledger.Dead, j.reason)
	case park:
		l.park(ctx, j.reason)
		l.failed(j.verdict)
		return spread(l.d.opts.ProbeEvery), nil
	case throttle:
		l.gate.close(whyThrottled, l.d.opts.Now().Add(j.wait))
		l.failed(j.verdict)
		log.Info("the instance is throttled", zap.Duration("delay", j.wait))
		return j.wait, nil
	default:
		delay := l.d.backoff(link.Attempts + 1)
		l.failed(retry)
		log.Warn("cannot deliver a link, trying again", zap.Int("attempt", link.Attempts+1), zap.Duration("delay", delay), cause(err))
		_, err := l.d.opts.Ledger.Note(ctx, entry, func(link *ledger.Link) {
			if link.Attempts++; link.Attempts == 1 {
				link.FailedAt = began.UTC()
			}
			link.LastError = j.reason
		})
		if errors.Is(err, ledger.ErrStale) {
			err = nil // another worker has it too, and has said more
		}
		return delay, err
	}
}

// create makes the record. A crash in it is an error of this link, not of the process.
func (l *lane) create(ctx context.Context, entry ledger.Entry, data []byte) (err error) {
	defer func() {
		if crash := recover(); crash != nil {
			err = &crashError{crash, debug.Stack()}
		}
	}()
	activity, err := l.d.activity(entry, data)
	if err != nil {
		return &unbuildableError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	_, err = l.client.Load().Create(ctx, activity)
	return err
}

func (l *lane) failed(v verdict) {
	l.d.opts.Metrics.retries.WithLabelValues(l.instance.Name, v.String()).Inc()
}

// finish settles the link in the ledger and tells everybody. A worker whose view is stale leaves both to the one that won.
func (l *lane) finish(ctx context.Context, log *zap.Logger, entry ledger.Entry, data []byte, to ledger.State, reason string) error {
	settled, err := l.d.opts.Ledger.Settle(ctx, entry, to, "postlink", reason, func(link *ledger.Link) {
		link.LastError = ""
		if org := l.org.Load(); org != nil {
			link.Organization = org.ID
		}
	})
	if errors.Is(err, ledger.ErrStale) {
		return fmt.Errorf("settle link %s: %w", entry.Current().ID, err) // comes again, and then reads the new state
	}
	if err != nil {
		return err
	}
	l.d.opts.Metrics.links.WithLabelValues(l.instance.Name, string(to)).Inc()
	if to == ledger.Dead {
		log.Error("a link is dead and waits for a person; postlink dead list tells why")
	} else {
		log.Info("linked")
	}
	return l.tell(ctx, settled, data)
}

// tell publishes what became of a link: an event, and its dead letter when it is dead. Repeating it is harmless.
func (l *lane) tell(ctx context.Context, entry ledger.Entry, data []byte) error {
	link := entry.Current()
	event := newEvent(entry, l.recordURL(link))
	if link.State == ledger.Dead {
		if err := buryLink(ctx, l.d.opts.Bus, entry, data); err != nil {
			return err
		}
	}
	if err := l.d.opts.Bus.PublishEvent(ctx, event.subject(), event.key(), event.encode()); err != nil {
		return err
	}
	if link.State == ledger.Linked {
		l.d.opts.OnLinked(event)
	}
	return nil
}

func (l *lane) recordURL(link *ledger.Link) string {
	client := l.client.Load()
	if client == nil || link.State == ledger.Dead {
		return ""
	}
	return client.RecordURL("socialactivity", link.ID)
}

// cause is why a delivery failed, without what Dynamics says of a record's values: that is in the ledger, not in logs.
func cause(err error) zap.Field {
	if answer, ok := errors.AsType[*dynamics.Error](err); ok {
		return zap.String("error", fmt.Sprintf("status %d, code %s", answer.Status, answer.Code))
	}
	return zap.Error(err)
}

// spread makes a pause up to a fifth longer or shorter.
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // not a secret
}

// sleep pauses and reports whether the context is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
