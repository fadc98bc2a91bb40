package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	mark   = "postlink" // key of the metadata of everything that we made
	format = "1"        // its value: the version of what we write there
)

// ErrOverlap says that a stream of somebody else takes the subjects of one that is to be made.
var ErrOverlap = errors.New("another stream takes these subjects already; set another nats.namespace, or for posts name that stream " +
	"in posts.stream, or take them out of the other stream")

// codeOverlap is what JetStream answers when another stream takes a subject already (errors.json of nats-server).
const codeOverlap jetstream.ErrorCode = 10065

// ErrForeign says that something has the name of what we keep, but was made by somebody else.
var ErrForeign = errors.New("it was not made by postlink, and nothing of it was changed; set another nats.namespace, or rename or remove it")

// Names of what we keep, by what it is for.

// StreamName is POSTLINK_DEAD for DEAD.
func (b *Bus) StreamName(what string) string { return strings.ToUpper(b.opts.Namespace) + "_" + what }

// BucketName is postlink_ledger for ledger.
func (b *Bus) BucketName(what string) string { return b.opts.Namespace + "_" + what }

// Subject is postlink.dead.post for dead, post.
func (b *Bus) Subject(tokens ...string) string {
	return b.opts.Namespace + "." + strings.Join(tokens, ".")
}

// Token makes any text usable as one token of a subject.
func Token(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r == '.' || r == '*' || r == '>' || r == 0x7f {
			return '-'
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s
}

// claim refuses what somebody else made. stream is the one that keeps it. keep reports whether it exists and stays as it is.
func (b *Bus) claim(ctx context.Context, what, name, stream string) (keep bool, err error) {
	info, ours, err := b.StreamInfo(ctx, stream)
	if err == nil && info != nil && !ours {
		err = ErrForeign
	}
	if err != nil {
		return false, fmt.Errorf("declare %s %s: %w", what, name, err)
	}
	return info != nil && b.opts.Guest, nil
}

// DeclareStream makes a stream, or brings ours to the wanted limits. Name and subjects are given whole; storage, replicas and
// our mark are filled in. The error is ErrForeign when somebody else has a stream of that name.
func (b *Bus) DeclareStream(ctx context.Context, cfg jetstream.StreamConfig) error {
	if keep, err := b.claim(ctx, "stream", cfg.Name, cfg.Name); err != nil || keep {
		return err
	}
	cfg.Storage = jetstream.FileStorage
	cfg.Replicas = b.opts.Replicas
	cfg.AllowDirect = true
	cfg.Metadata = map[string]string{mark: format}
	if _, err := b.js.CreateOrUpdateStream(ctx, cfg); err != nil {
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == codeOverlap {
			err = fmt.Errorf("%w: %s", ErrOverlap, strings.Join(cfg.Subjects, ", "))
		}
		return fmt.Errorf("declare stream %s: %w", cfg.Name, Unreachable(err))
	}
	return nil
}

// DeclareBucket makes a bucket, or brings ours to the wanted limits. The bucket is named after what it is for.
func (b *Bus) DeclareBucket(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	cfg.Bucket = b.BucketName(cfg.Bucket)
	keep, err := b.claim(ctx, "bucket", cfg.Bucket, BucketStream(cfg.Bucket))
	if err != nil {
		return nil, err
	}
	cfg.Storage = jetstream.FileStorage
	cfg.Replicas = b.opts.Replicas
	cfg.Metadata = map[string]string{mark: format}
	open := b.js.CreateOrUpdateKeyValue
	if keep {
		open = func(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
			return b.js.KeyValue(ctx, cfg.Bucket)
		}
	}
	kv, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("declare bucket %s: %w", cfg.Bucket, Unreachable(err))
	}
	return kv, nil
}

// DeclareObjectStore makes an object store, or brings ours to the wanted limits. It is named after what it is for.
func (b *Bus) DeclareObjectStore(ctx context.Context, cfg jetstream.ObjectStoreConfig) (jetstream.ObjectStore, error) {
	cfg.Bucket = b.BucketName(cfg.Bucket)
	keep, err := b.claim(ctx, "object store", cfg.Bucket, "OBJ_"+cfg.Bucket)
	if err != nil {
		return nil, err
	}
	cfg.Storage = jetstream.FileStorage
	cfg.Replicas = b.opts.Replicas
	cfg.Metadata = map[string]string{mark: format}
	open := b.js.CreateOrUpdateObjectStore
	if keep {
		open = func(ctx context.Context, cfg jetstream.ObjectStoreConfig) (jetstream.ObjectStore, error) {
			return b.js.ObjectStore(ctx, cfg.Bucket)
		}
	}
	store, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("declare object store %s: %w", cfg.Bucket, Unreachable(err))
	}
	return store, nil
}

// BucketStream names the stream that keeps a bucket, whose name is given whole.
func BucketStream(bucket string) string { return "KV_" + bucket }

// DeclareConsumer makes a durable consumer of a stream, or brings ours to the wanted limits; the stream may be somebody
// else's.
func (b *Bus) DeclareConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	existing, err := b.js.Consumer(ctx, stream, cfg.Durable)
	switch {
	case err == nil && existing.CachedInfo().Config.Metadata[mark] == "":
		return nil, fmt.Errorf("declare consumer %s of stream %s: %w", cfg.Durable, stream, ErrForeign)
	case err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, fmt.Errorf("look for consumer %s of stream %s: %w", cfg.Durable, stream, Unreachable(err))
	case err == nil && b.opts.Guest:
		return existing, nil
	}
	cfg.Metadata = map[string]string{mark: format}
	consumer, err := b.js.CreateOrUpdateConsumer(ctx, stream, cfg)
	if err != nil {
		return nil, fmt.Errorf("declare consumer %s of stream %s: %w", cfg.Durable, stream, Unreachable(err))
	}
	return consumer, nil
}

// StreamInfo looks a stream up: nil when it does not exist; ours reports whether postlink made it.
func (b *Bus) StreamInfo(ctx context.Context, name string) (info *jetstream.StreamInfo, ours bool, err error) {
	stream, err := b.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("look for stream %s: %w", name, Unreachable(err))
	}
	info = stream.CachedInfo()
	return info, info.Config.Metadata[mark] != "", nil
}

// Claim refuses, with ErrForeign, a NATS where somebody else made streams whose names begin with prefix.
func (b *Bus) Claim(ctx context.Context, prefix string) error {
	var foreign []string
	list := b.js.ListStreams(ctx)
	for info := range list.Info() {
		if strings.HasPrefix(info.Config.Name, prefix) && info.Config.Metadata[mark] == "" {
			foreign = append(foreign, info.Config.Name)
		}
	}
	if err := list.Err(); err != nil {
		return fmt.Errorf("look for streams %s*: %w", prefix, Unreachable(err))
	}
	if len(foreign) > 0 {
		return fmt.Errorf("streams of another application, %s: %w", strings.Join(foreign, ", "), ErrForeign)
	}
	return nil
}

// ConsumerInfo looks at a consumer of a stream.
func (b *Bus) ConsumerInfo(ctx context.Context, stream, name string) (*jetstream.ConsumerInfo, error) {
	consumer, err := b.js.Consumer(ctx, stream, name)
	if err != nil {
		return nil, fmt.Errorf("look at consumer %s of stream %s: %w", name, stream, Unreachable(err))
	}
	return consumer.CachedInfo(), nil
}

// StreamsOf names the streams that take a subject.
func (b *Bus) StreamsOf(ctx context.Context, subject string) ([]string, error) {
	var names []string
	list := b.js.StreamNames(ctx, jetstream.WithStreamListSubject(subject))
	for name := range list.Name() {
		names = append(names, name)
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list the streams of %s: %w", subject, Unreachable(err))
	}
	return names, nil
}
