package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	matcherName   = "matcher"
	delivererName = "deliverer"

	// matchWait is how long a post may stay unacknowledged before NATS gives it to another worker: after so long, what a
	// killed worker held goes on.
	matchWait = 30 * time.Second

	// matchPending bounds the deliveries, over all workers, that are under way or put off. Posts are put off only while an
	// outbox is full, so that one full outbox can hold back this many posts before the others wait too.
	matchPending = 50_000

	// owned marks the streams that postlink made and may change.
	owned = "postlink"
)

// DeliverWait is the same for an entry of an outbox. Whoever needs longer says that it is in progress.
const DeliverWait = 30 * time.Second

func (b *Bus) name(s string) string    { return b.opts.Prefix + s }
func (b *Bus) subject(s string) string { return b.opts.Prefix + s }

// declare brings everything but the outboxes into being; those come with their instances.
func (b *Bus) declare(ctx context.Context) error {
	if err := b.declarePosts(ctx); err != nil {
		return err
	}
	if err := b.declareStream(ctx, jetstream.StreamConfig{
		Name:        b.name("DEAD"),
		Description: "Posts and links that a person has to look at.",
		Subjects:    []string{b.subject("dead.>")},
		MaxAge:      b.opts.DeadAge,
		Discard:     jetstream.DiscardOld,
		AllowDirect: true,
	}); err != nil {
		return err
	}
	if err := b.declareStream(ctx, jetstream.StreamConfig{
		Name:        b.name("EVENTS"),
		Description: "What happened to links, for statistics and live views.",
		Subjects:    []string{b.subject("events.>")},
		MaxAge:      b.opts.EventAge,
		Discard:     jetstream.DiscardOld,
		AllowDirect: true,
	}); err != nil {
		return err
	}
	return b.declareBuckets(ctx)
}

func (b *Bus) declarePosts(ctx context.Context) error {
	cfg := jetstream.StreamConfig{
		Name:        b.opts.Posts.Stream,
		Description: "Social posts, as they arrive.",
		Subjects:    b.opts.Posts.Subjects,
		MaxAge:      b.opts.Posts.Age,
		MaxBytes:    max(b.opts.Posts.Bytes, 0),
		Discard:     jetstream.DiscardOld,
		AllowDirect: true,
	}
	existing, err := b.js.Stream(ctx, cfg.Name)
	switch {
	case err == nil && existing.CachedInfo().Config.Metadata[owned] == "": // the ingestion's own: only the consumer is ours
		if age := existing.CachedInfo().Config.MaxAge; age == 0 || age >= b.opts.LedgerAge {
			return fmt.Errorf("stream %s keeps posts for longer than the ledger remembers them (%s), and they could be linked twice; "+
				"set a max_age on the stream, below ledger.max_age", cfg.Name, b.opts.LedgerAge)
		}
	case err == nil || errors.Is(err, jetstream.ErrStreamNotFound):
		if err := b.declareStream(ctx, cfg); err != nil {
			return err
		}
	default:
		return fmt.Errorf("look for the posts stream %s: %w", cfg.Name, unreachable(err))
	}
	_, err = b.Posts(ctx)
	return err
}

func (b *Bus) declareStream(ctx context.Context, cfg jetstream.StreamConfig) error {
	cfg.Storage = jetstream.FileStorage
	cfg.Replicas = b.opts.Replicas
	cfg.Metadata = map[string]string{owned: "1"}
	if _, err := b.js.CreateOrUpdateStream(ctx, cfg); err != nil {
		return fmt.Errorf("declare stream %s: %w", cfg.Name, unreachable(err))
	}
	return nil
}

func (b *Bus) declareBuckets(ctx context.Context) error {
	buckets := map[string]struct {
		cfg jetstream.KeyValueConfig
		kv  *jetstream.KeyValue
	}{
		"ledger": {jetstream.KeyValueConfig{
			Description: "Links, by post. Keys are never deleted: they are what keeps a replay from linking twice.",
			TTL:         b.opts.LedgerAge,
		}, &b.ledger},
		"catalog": {jetstream.KeyValueConfig{
			Description: "Which catalog is in force, and the last ones before it.",
			History:     jetstream.KeyValueMaxHistory,
		}, &b.catalog},
		"instances": {jetstream.KeyValueConfig{
			Description: "What is known of each Dynamics instance.",
		}, &b.instances},
	}
	for name, bucket := range buckets {
		cfg := bucket.cfg
		cfg.Bucket = b.name(name)
		cfg.Storage = jetstream.FileStorage
		cfg.Replicas = b.opts.Replicas
		kv, err := b.js.CreateOrUpdateKeyValue(ctx, cfg)
		if err != nil {
			return fmt.Errorf("declare bucket %s: %w", cfg.Bucket, unreachable(err))
		}
		*bucket.kv = kv
	}
	cfg := jetstream.ObjectStoreConfig{
		Bucket:      b.name("catalog"),
		Description: "Catalogs by their content.",
		Storage:     jetstream.FileStorage,
		Replicas:    b.opts.Replicas,
	}
	blobs, err := b.js.CreateOrUpdateObjectStore(ctx, cfg)
	if err != nil {
		return fmt.Errorf("declare object store %s: %w", cfg.Bucket, unreachable(err))
	}
	b.blobs = blobs
	return nil
}

// unreachable adds ErrUnreachable to errors that mean that JetStream did not answer.
func unreachable(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) ||
		errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}
