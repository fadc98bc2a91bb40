// Package outbox keeps the links that wait to be delivered, in one queue for each instance, so that an instance that is slow,
// throttled, disabled or broken fills its own outbox only.
//
// An entry names a post's link in the ledger and carries the decision and the post along. It leaves its outbox only when it
// is acknowledged: there is no age and no limit of deliveries, and a full outbox refuses new entries. The package does not know
// how links are delivered.
package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
	"postlink/worker/ledger"
)

const (
	// DefaultLimit is how many links may wait for one instance before matching has to wait as well.
	DefaultLimit = 1_000_000

	// deliverWait is how long an entry may stay unacknowledged before NATS gives it to another worker. Deliveries that take
	// longer say that they are in progress.
	deliverWait = 30 * time.Second
)

// Headers of an entry; the body is the post as it arrived.
const (
	headerPost       = "Postlink-Post" // ledger key, encoded
	headerGeneration = "Postlink-Generation"
	headerSequence   = "Postlink-Sequence" // of the post in the posts stream
	headerDecision   = "Postlink-Decision" // JSON of ledger.Decision
)

var (
	// ErrFull says that the outbox takes no more links until some are delivered.
	ErrFull = errors.New("the outbox is full")

	// ErrTooLarge says that a post is too large to travel with the headers of an entry.
	ErrTooLarge = errors.New("the post is too large to be queued; raise max_payload of NATS")
)

// Outboxes are the queues of all instances. They are safe for concurrent use.
type Outboxes struct {
	bus   *bus.Bus
	limit int64
}

// New returns the outboxes on a bus; each is declared when it is needed first. limit is DefaultLimit when 0.
func New(b *bus.Bus, limit int64) *Outboxes {
	return &Outboxes{b, cmp.Or(limit, DefaultLimit)}
}

// Claim refuses, with bus.ErrForeign, outboxes that somebody else made. A start that asks for it does not learn of them only
// when the first link of the instance has nowhere to wait.
func (o *Outboxes) Claim(ctx context.Context) error { return o.bus.Claim(ctx, o.streamName("")) }

func (o *Outboxes) streamName(instance string) string { return o.bus.StreamName("OUTBOX_" + instance) }
func (o *Outboxes) subject(instance string) string    { return o.bus.Subject("outbox", instance) }

// Declare makes the outbox of an instance, whose name is a subject token.
func (o *Outboxes) Declare(ctx context.Context, instance string) error {
	return o.bus.DeclareStream(ctx, jetstream.StreamConfig{
		Name:        o.streamName(instance),
		Description: "Links that wait to be delivered to " + instance + ".",
		Subjects:    []string{o.subject(instance)},
		Retention:   jetstream.WorkQueuePolicy,
		Discard:     jetstream.DiscardNew,
		MaxMsgs:     o.limit,
	})
}

func (o *Outboxes) declareConsumer(ctx context.Context, instance string) (jetstream.Consumer, error) {
	if err := o.Declare(ctx, instance); err != nil {
		return nil, err
	}
	return o.bus.DeclareConsumer(ctx, o.streamName(instance), jetstream.ConsumerConfig{
		Durable:       o.bus.BucketName("deliver"),
		Description:   "Delivers links; all workers share it.",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       deliverWait,
		MaxDeliver:    -1,
		MaxAckPending: -1, // links that failed and wait for another attempt must not hold up the others
	})
}

// Instances names the instances that have an outbox, be they still in the catalog or not.
func (o *Outboxes) Instances(ctx context.Context) ([]string, error) {
	streams, err := o.bus.StreamsOf(ctx, o.subject("*"))
	if err != nil {
		return nil, err
	}
	var instances []string
	for _, stream := range streams {
		if instance, ours := strings.CutPrefix(stream, o.streamName("")); ours {
			instances = append(instances, instance)
		}
	}
	return instances, nil
}

// Waiting says how many links wait for an instance, those under way included, and since when the oldest does. It is zero for
// an instance without an outbox.
func (o *Outboxes) Waiting(ctx context.Context, instance string) (bus.Held, error) {
	return o.bus.Held(ctx, o.streamName(instance))
}

func header(entry ledger.Entry) (nats.Header, error) {
	link := entry.Current()
	decision, err := json.Marshal(link.Decision())
	return nats.Header{
		headerPost:       {entry.Post.Encode()},
		headerGeneration: {strconv.Itoa(link.Generation)},
		headerSequence:   {strconv.FormatUint(entry.Sequence, 10)},
		headerDecision:   {string(decision)},
	}, err
}

// Fits reports whether a post can travel with the current link of an entry.
func (o *Outboxes) Fits(entry ledger.Entry, data []byte) bool {
	if len(data) < o.bus.Room(nil)/2 {
		return true // the header takes far less than the rest
	}
	h, err := header(entry)
	return err == nil && len(data) <= o.bus.Room(h)
}

// Put queues the current link of an entry, with its post. Doing it twice is harmless. Errors are ErrFull and ErrTooLarge.
func (o *Outboxes) Put(ctx context.Context, entry ledger.Entry, data []byte) error {
	link := entry.Current()
	h, err := header(entry)
	if err == nil {
		msg := &nats.Msg{Subject: o.subject(link.Instance), Header: h, Data: data}
		err = o.bus.Publish(ctx, msg, link.ID.String())
		if errors.Is(err, bus.ErrNoStream) { // an instance so new that nobody has declared its outbox yet
			if err = o.Declare(ctx, link.Instance); err == nil {
				err = o.bus.Publish(ctx, msg, link.ID.String())
			}
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bus.ErrFull):
		err = fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, bus.ErrTooLarge):
		err = fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return fmt.Errorf("queue link %s for %s: %w", link.ID, link.Instance, err)
}

// Entry is a link that waits.
type Entry struct {
	Post       ledger.Key
	Sequence   uint64 // of the post in the posts stream; 0 when it never was there
	Generation int
	Decision   ledger.Decision
	Data       []byte // the post as it arrived
}

// Read reads what Put wrote. Its error says that something else wrote into the outbox.
func Read(m bus.Message) (e Entry, err error) {
	e.Data = m.Data
	if e.Post, err = ledger.DecodeKey(m.Header.Get(headerPost)); err != nil {
		return e, err
	}
	if e.Generation, err = strconv.Atoi(m.Header.Get(headerGeneration)); err != nil || e.Generation < 1 {
		return e, fmt.Errorf("header %s is %q, not a generation", headerGeneration, m.Header.Get(headerGeneration))
	}
	if e.Sequence, err = strconv.ParseUint(m.Header.Get(headerSequence), 10, 64); err != nil {
		return e, fmt.Errorf("header %s: %w", headerSequence, err)
	}
	if err := json.Unmarshal([]byte(m.Header.Get(headerDecision)), &e.Decision); err != nil {
		return e, fmt.Errorf("header %s: %w", headerDecision, err)
	}
	return e, nil
}

// Take handles the entries of an instance's outbox, as c says, until ctx ends. c.Declare, c.Confirm and c.InProgress are
// filled in.
func (o *Outboxes) Take(ctx context.Context, instance string, c bus.Consumption, handle bus.Handler) {
	c.Declare = func(ctx context.Context) (jetstream.Consumer, error) { return o.declareConsumer(ctx, instance) }
	c.Confirm = true
	c.InProgress = deliverWait / 3
	c.Run(ctx, handle)
}
