package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"postlink/dynamics"
	"postlink/payload"
	"postlink/worker/bus"
	"postlink/worker/catalog"
	"postlink/worker/ledger"
)

// DelivererOptions configure a Deliverer.
type DelivererOptions struct {
	Bus     *bus.Bus
	Ledger  *ledger.Ledger
	Catalog *catalog.Store // asked, before links of an instance are given up, whether it is really deleted
	Dial    Dial
	Metrics *Metrics
	Log     *zap.Logger

	Backlink func(post ledger.Key) string // the post's page in our console; nil sends none
	OnLinked func(Event)                  // told of every link that is made; may be nil

	Slots  int           // deliveries to one instance at once; default 8, Dynamics takes 52
	Drain  time.Duration // how long deliveries under way may go on after the context has ended; default 20 s
	MaxAge time.Duration // a link whose attempts failed for so long becomes a dead letter; default 7 days

	RetryFirst time.Duration // pause after a first failure, doubled with each further one; default 1 s
	RetryMost  time.Duration // the longest such pause; default 5 minutes
	ProbeEvery time.Duration // how often a parked instance is asked whether it answers again; default 15 s

	Now func() time.Time // default time.Now
}

// Dial makes the client for an instance. Its error is for the administrator: a secret that is missing, say.
type Dial func(dynamics.Instance) (*dynamics.Client, error)

func (o *DelivererOptions) validate() error {
	if o.Bus == nil || o.Ledger == nil || o.Catalog == nil || o.Dial == nil || o.Metrics == nil || o.Log == nil {
		return errors.New("make a deliverer: bus, ledger, catalog, dial, metrics and log are needed")
	}
	if o.Backlink == nil {
		o.Backlink = func(ledger.Key) string { return "" }
	}
	if o.OnLinked == nil {
		o.OnLinked = func(Event) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{
		{&o.Drain, 20 * time.Second}, {&o.MaxAge, 7 * bus.Day},
		{&o.RetryFirst, time.Second}, {&o.RetryMost, 5 * time.Minute}, {&o.ProbeEvery, 15 * time.Second},
	} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	if o.Slots == 0 {
		o.Slots = 8
	}
	return nil
}

// Deliverer is the second stage: it takes links from the outboxes and makes their records in Dynamics, for each instance
// of the catalog on its own.
type Deliverer struct {
	opts      DelivererOptions
	log       *zap.Logger
	revisions chan *catalog.Revision // the newest that Run has not followed yet

	mu    sync.Mutex
	lanes map[string]*lane // by instance
}

// NewDeliverer makes a Deliverer; Run starts it.
func NewDeliverer(opts DelivererOptions) (*Deliverer, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Deliverer{
		opts: opts, log: opts.Log.Named("deliverer"),
		revisions: make(chan *catalog.Revision, 1), lanes: map[string]*lane{},
	}, nil
}

// Follow tells the Deliverer which instances there are from now on. It does not block; of revisions in quick succession
// the newest counts. One goroutine calls it, the one that swaps the catalog.
func (d *Deliverer) Follow(r *catalog.Revision) {
	select {
	case <-d.revisions:
	default:
	}
	d.revisions <- r
}

// Pulling reports whether links are being taken from the outbox of every instance that is not held back.
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

// Run delivers links until ctx ends, then lets the deliveries under way finish. Instances come, go and change while it
// runs, as Follow says.
func (d *Deliverer) Run(ctx context.Context) error {
	defer d.stopAll()
	var instances []dynamics.Instance
	var again <-chan time.Time // set while not all is followed
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case r := <-d.revisions:
			instances = r.Catalog.Instances
		}
		again = nil
		if !d.follow(ctx, instances) {
			again = time.After(resumeWait)
		}
	}
}

// follow makes the lanes those of the instances given, and closing ones of the outboxes whose instance was deleted. It reports
// whether it could look for these.
func (d *Deliverer) follow(ctx context.Context, instances []dynamics.Instance) bool {
	wanted := map[string]dynamics.Instance{}
	outboxes, err := d.opts.Bus.Outboxes(ctx)
	if err != nil {
		d.log.Warn("cannot look for the outboxes of deleted instances, trying again", zap.Error(err), zap.Duration("delay", resumeWait))
		for name := range d.lanes {
			outboxes = append(outboxes, name)
		}
	}
	for _, name := range outboxes {
		wanted[name] = dynamics.Instance{Name: name}
	}
	for _, i := range instances {
		wanted[i.Name] = i
	}
	d.stop(func(l *lane) bool {
		instance, ok := wanted[l.instance.Name]
		return !ok || !sameAddress(instance, l.instance)
	})
	for name, instance := range wanted {
		l, running := d.lanes[name]
		if !running {
			l = newLane(d, instance)
		}
		if instance.Disabled {
			l.gate.close(whyDisabled, time.Time{})
		} else {
			l.gate.open(whyDisabled)
		}
		if !running {
			l.start(ctx)
			d.mu.Lock()
			d.lanes[name] = l
			d.mu.Unlock()
		}
	}
	return err == nil
}

// sameAddress reports whether a client for one of the two serves the other as well.
func sameAddress(a, b dynamics.Instance) bool { return a.URL == b.URL && a.Auth == b.Auth }

func (d *Deliverer) stopAll() { d.stop(func(*lane) bool { return true }) }

// stop ends the lanes that which chooses, all at once, and waits for them.
func (d *Deliverer) stop(which func(*lane) bool) {
	var ending []*lane
	for _, l := range d.lanes {
		if which(l) {
			ending = append(ending, l)
		}
	}
	var wg sync.WaitGroup
	for _, l := range ending {
		wg.Go(l.stop)
	}
	wg.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range ending {
		delete(d.lanes, l.instance.Name)
	}
}

// activity is the social activity that the current link of an entry asks for.
func (d *Deliverer) activity(entry ledger.Entry, data []byte) (dynamics.Activity, error) {
	post, err := payload.DecodePost(data)
	if err != nil {
		return dynamics.Activity{}, err
	}
	link := entry.Current()
	built, err := payload.Build(post, payload.Target{Entity: link.Entity, Notes: link.Notes, Backlink: d.opts.Backlink(entry.Post)})
	if err != nil {
		return dynamics.Activity{}, err
	}
	return dynamics.Activity{ID: link.ID, Network: post.Source, SocialActivity: built}, nil
}

// backoff is the pause before another attempt: doubled with each, within the bounds, and spread so that links that failed
// together do not come back together.
func (d *Deliverer) backoff(attempts int) time.Duration {
	pause := d.opts.RetryFirst
	for range min(attempts-1, 30) {
		if pause *= 2; pause >= d.opts.RetryMost {
			pause = d.opts.RetryMost
			break
		}
	}
	return spread(pause)
}

func errorText(err error) string { return headerText(fmt.Sprint(err)) }
