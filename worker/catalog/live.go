package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// LiveOptions say what a Live tells, and how often it makes sure.
type LiveOptions struct {
	Store    *Store
	OnChange func(*Revision) // called by Run after each swap; may be nil
	OnError  func(error)     // called by Run for a revision that could not be loaded, or a lost watch; may be nil

	// Poll is how often the key is read without being told, in case a watch died unnoticed; default 30 s. After an error
	// the key is read again sooner.
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
	if o.Poll == 0 {
		o.Poll = 30 * time.Second
	}
	if o.Poll < 0 {
		return fmt.Errorf("follow the catalog: poll interval %s", o.Poll)
	}
	return nil
}

// Live is the revision in force, as one worker sees it. Run alone swaps it, any number of goroutines may read it. Whoever
// handles a post takes Current once and uses nothing else for that post.
type Live struct {
	opts    LiveOptions
	current atomic.Pointer[Revision]
	ready   chan struct{}
	once    sync.Once
	created time.Time // when the server stored the pointer to current; only Run uses it
}

// NewLive returns a Live that Run fills.
func NewLive(opts LiveOptions) (*Live, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Live{opts: opts, ready: make(chan struct{})}, nil
}

// Current returns the revision in force, or nil before the first one is loaded.
func (l *Live) Current() *Revision { return l.current.Load() }

// Ready is closed when the first revision is loaded.
func (l *Live) Ready() <-chan struct{} { return l.ready }

// Run follows the store until ctx ends, and returns nil then. A revision that cannot be loaded is reported and tried again;
// the one before it stays.
func (l *Live) Run(ctx context.Context) error {
	const soon = 250 * time.Millisecond
	retry := soon
	for ctx.Err() == nil {
		err := l.follow(ctx)
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			retry = soon // it was only time to look whether the watch still lives
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

// follow watches the key until something is wrong, or until it is time for a new watch: the first thing a watch tells is
// what is in force, so that a new one every Poll also finds what an old one missed.
func (l *Live) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := l.opts.Store.opts.KV.Watch(ctx, key)
	if err != nil {
		return fmt.Errorf("watch the catalog: %w", err)
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
				continue // all of what was there has been told
			}
			if err := l.take(ctx, e); err != nil {
				return err
			}
		}
	}
}

// take swaps to what the key says, if that is newer than what is in force. A bucket that was made anew counts from 1 again,
// but its entries are later.
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
	l.opts.OnChange(rev)
	return nil
}
