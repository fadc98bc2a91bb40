package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
)

// LiveOptions configure a Live.
type LiveOptions struct {
	Store *Store
	// OnChange is called by Run after each swap, and Run waits for it. It is not called for a revision that was replaced while
	// the watch was broken. May be nil.
	OnChange func(*Revision)
	OnError  func(error) // called by Run for a revision that could not be loaded, or a lost watch; may be nil

	// Poll is how often the watch is renewed, in case the old one died unnoticed; default 30 s. After an error it is renewed sooner.
	Poll time.Duration
}

func (o *LiveOptions) validate() error {
	if o.Store == nil {
		return errors.New("follow the catalog: a store is needed")
	}
	if o.OnChange == nil {
		o.OnChange = func(*Revision) {}
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	o.Poll = cmp.Or(o.Poll, 30*time.Second)
	if o.Poll < 0 {
		return fmt.Errorf("follow the catalog: poll interval %s", o.Poll)
	}
	return nil
}

// Live holds the revision in force, as one worker knows it. Only Run swaps it; any number of goroutines may read it. Take Current
// once for a post and use that revision throughout. The mutex guards changed alone.
//
// Workers swap at different moments, each when its watch delivers the key. While NATS cannot be reached the last revision stays;
// no decision can be written to the ledger then.
type Live struct {
	opts    LiveOptions
	current atomic.Pointer[Revision]
	ready   chan struct{}
	once    sync.Once
	mu      sync.Mutex
	changed chan struct{} // closed and renewed with each swap
	created time.Time     // when the server stored the pointer to current; only Run uses it
}

// NewLive returns a Live that Run fills.
func NewLive(opts LiveOptions) (*Live, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Live{opts: opts, ready: make(chan struct{}), changed: make(chan struct{})}, nil
}

// Current returns the revision in force, or nil before the first one is loaded.
func (l *Live) Current() *Revision { return l.current.Load() }

// Changed is closed when Current changes next. Take the channel first and the revision second, or a change is missed.
func (l *Live) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Ready is closed when the first revision is loaded.
func (l *Live) Ready() <-chan struct{} { return l.ready }

// Run follows the store until ctx ends, and returns nil then. It is called once. A revision that cannot be loaded is reported and
// tried again, first within 250 ms, then after pauses that double up to Poll; the one before it stays.
func (l *Live) Run(ctx context.Context) error {
	const soon = 250 * time.Millisecond
	retry := soon
	for ctx.Err() == nil {
		err := l.follow(ctx)
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			retry = soon // the watch is renewed as planned
			continue
		}
		l.opts.OnError(err)
		if pause(ctx, retry) != nil {
			break
		}
		retry = min(2*retry, l.opts.Poll)
	}
	return nil
}

// follow watches the key for the time of Poll, or until an error. A new watch first delivers the current value, so that it also
// finds what the watch before it missed.
func (l *Live) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := l.opts.Store.kv.Watch(ctx, key)
	if err != nil {
		return fmt.Errorf("watch the catalog: %w", bus.Unreachable(err))
	}
	defer func() { _ = w.Stop() }()
	renew := time.NewTimer(l.opts.Poll)
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-renew.C:
			return nil
		case e, open := <-w.Updates():
			if !open {
				return errors.New("watch the catalog: the watch ended; watching again")
			}
			if e == nil {
				continue // the end of the values that were there at the start
			}
			if err := l.take(ctx, e); err != nil {
				return err
			}
		}
	}
}

// take swaps to the revision that the key names, if it is newer. A bucket that was created anew counts from 1 again, so the time of
// the entry decides too. The revision is swapped before changed is closed, so that whoever is woken reads the new one.
func (l *Live) take(ctx context.Context, e jetstream.KeyValueEntry) error {
	if cur := l.Current(); cur != nil && e.Revision() <= cur.Number && !e.Created().After(l.created) {
		return nil
	}
	p, err := decodePointer(e)
	if errors.Is(err, ErrEmpty) {
		return errors.New("the catalog was deleted from its bucket; apply it again")
	}
	if err != nil {
		return err
	}
	rev, err := l.opts.Store.load(ctx, p)
	if err != nil {
		return err
	}
	l.current.Store(rev)
	l.created = e.Created()
	l.once.Do(func() { close(l.ready) })
	l.mu.Lock()
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	l.opts.OnChange(rev)
	return nil
}
