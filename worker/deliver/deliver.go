package deliver

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/deadletter"
	"postlink/worker/event"
	"postlink/worker/instance"
	"postlink/worker/ledger"
	"postlink/worker/outbox"
)

// lookAgain is the pause before the outboxes of deleted instances are looked for again after that failed.
const lookAgain = 500 * time.Millisecond

// Options configure a Deliverer. All of them are needed where no default is named.
type Options struct {
	Ledger   *ledger.Ledger
	Outboxes *outbox.Outboxes
	Letters  *deadletter.Letters
	Events   *event.Events
	Statuses *instance.Statuses
	Live     *catalog.Live                                     // the instances there are
	Catalog  *catalog.Store                                    // asked before links of an instance are given up
	Client   func(dynamics.Instance) (*dynamics.Client, error) // its error is for the administrator: a secret that is missing, say
	Metrics  *Metrics
	Log      *zap.Logger

	PostsURL string // begins the address of a post's page in our console, which records carry; empty: they carry none

	Slots  int           // deliveries to one instance at once; default 8, Dynamics takes 52
	Drain  time.Duration // how long deliveries under way may go on after the context has ended; default 20 s
	MaxAge time.Duration // a link whose attempts failed for so long becomes a dead letter; default 7 days
	Pauses Pauses

	Now func() time.Time // default time.Now
}

// Pauses are how long things wait.
type Pauses struct {
	First time.Duration // after a link's first failure, doubled with each further one; default 1 s
	Most  time.Duration // the longest such pause; default 5 minutes
	Probe time.Duration // between two probes of a parked instance; default 15 s
}

// backoff is the pause after a failed attempt, of which the first is 1.
func (p Pauses) backoff(attempt int) time.Duration {
	pause := p.First
	for range attempt - 1 {
		if pause *= 2; pause >= p.Most {
			return p.Most
		}
	}
	return pause
}

func (o *Options) validate() error {
	if o.Ledger == nil || o.Outboxes == nil || o.Letters == nil || o.Events == nil || o.Statuses == nil || o.Live == nil ||
		o.Catalog == nil || o.Client == nil || o.Metrics == nil || o.Log == nil {
		return errors.New("make a deliverer: ledger, outboxes, letters, events, statuses, live, catalog, client, metrics and log are needed")
	}
	o.Slots = cmp.Or(o.Slots, 8)
	o.Drain = cmp.Or(o.Drain, 20*time.Second)
	o.MaxAge = cmp.Or(o.MaxAge, 7*bus.Day)
	o.Pauses.First = cmp.Or(o.Pauses.First, time.Second)
	o.Pauses.Most = cmp.Or(o.Pauses.Most, 5*time.Minute)
	o.Pauses.Probe = cmp.Or(o.Pauses.Probe, 15*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = o.Log.Named("deliver")
	return nil
}

// Deliverer is the second stage: it runs a lane for each instance. Run is called once and owns the lanes; the mutex guards the map
// alone, for Pulling, which any goroutine may call.
type Deliverer struct {
	opts Options

	mu    sync.Mutex
	lanes map[string]running // by instance
}

// running is a lane with what ends it.
type running struct {
	*lane
	stop context.CancelFunc
}

// New makes a Deliverer.
func New(opts Options) (*Deliverer, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Deliverer{opts: opts, lanes: map[string]running{}}, nil
}

// Pulling reports whether links are being taken from the outbox of every instance that is not held back. It is true without lanes, as
// before the first catalog: readiness asks for the catalog itself.
func (d *Deliverer) Pulling() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lanes {
		if !l.ready() {
			return false
		}
	}
	return true
}

// Run delivers links until ctx ends, then lets the attempts under way finish. Lanes come, go and change with the catalog. It
// returns nil: no failure of NATS or of an instance ends a Deliverer, it tries again until it is stopped.
func (d *Deliverer) Run(ctx context.Context) error {
	var lanes sync.WaitGroup
	defer lanes.Wait()
	var revision *catalog.Revision
	for {
		changed := d.opts.Live.Changed()
		if now := d.opts.Live.Current(); now != revision {
			if d.reconcile(ctx, &lanes, now) {
				revision = now
				continue
			}
			if !bus.Sleep(ctx, lookAgain) {
				return nil
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// reconcile brings the running lanes in line with a revision. It reports whether it could look for the outboxes of deleted
// instances, whose links become dead letters. A lane is kept, with what it has found out about its instance, unless the address or
// the way to sign in changed: a probe of the old address proves nothing about the new one.
func (d *Deliverer) reconcile(ctx context.Context, lanes *sync.WaitGroup, revision *catalog.Revision) bool {
	outboxes, err := d.opts.Outboxes.Instances(ctx)
	if err != nil {
		d.opts.Log.Warn("cannot look for the outboxes of deleted instances, trying again", zap.Error(err), zap.Duration("delay", lookAgain))
	}
	type place struct {
		dynamics.Instance
		deleted bool
	}
	wanted := map[string]place{}
	for _, name := range outboxes {
		wanted[name] = place{dynamics.Instance{Name: name}, true}
	}
	for _, i := range revision.Catalog.Instances {
		wanted[i.Name] = place{i, false}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, l := range maps.All(d.lanes) {
		next, ok := wanted[name]
		switch {
		case !ok && err != nil && l.deleted: // its outbox could not be looked for
		case !ok || next.deleted != l.deleted || !next.SameAddress(l.instance):
			l.stop() // what is under way finishes on its own; nothing new is taken
			l.health.forget()
			delete(d.lanes, name)
		default:
			l.disable(next.Disabled)
			delete(wanted, name)
		}
	}
	for name, next := range wanted {
		l := newLane(&d.opts, next.Instance, next.deleted)
		l.disable(next.Disabled)
		ctx, stop := context.WithCancel(ctx)
		d.lanes[name] = running{l, stop}
		lanes.Go(func() { l.run(ctx) })
	}
	return err == nil
}
