package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrNoMessage says that a stream does not hold what was asked for (any more).
var ErrNoMessage = errors.New("the stream does not hold it")

// Message is what a stream holds at one sequence.
type Message struct {
	Sequence uint64
	At       time.Time // when it was stored, by the clock of the server
	Subject  string
	Header   nats.Header
	Data     []byte
}

// Read asks for a part of a stream.
type Read struct {
	Stream      string
	Subjects    []string // none: all
	Below       uint64   // sequences from which on nothing is wanted; 0: none
	Since       time.Time
	HeadersOnly bool
}

// window is how many sequences are read at once when a stream is read backwards; JetStream itself reads forwards only. Where
// a stream has holes, or few messages are wanted, windows grow up to widest.
const (
	window = 512
	widest = 64 * window
)

// A message that is there may be late, or deleted before it comes: after quietWait the server is asked again, and after mostQuiet
// such waits in a row the read fails.
const (
	quietWait = 200 * time.Millisecond
	mostQuiet = 25
)

// A consumer that was made for one read is deleted after it, since servers limit how many there may be. The server itself deletes
// after leftBehind what we could not; deleteWait bounds the attempt.
const (
	leftBehind = 10 * time.Second
	deleteWait = time.Second
)

// Backwards calls visit with what was asked for, newest first, until it returns false or an error. Where a stream keeps one message
// a subject, a message below the newest window that is replaced meanwhile is passed over.
func (b *Bus) Backwards(ctx context.Context, r Read, visit func(Message) (more bool, err error)) error {
	stream, err := b.js.Stream(ctx, r.Stream)
	if err != nil {
		return fmt.Errorf("look for stream %s: %w", r.Stream, Unreachable(err))
	}
	state := stream.CachedInfo().State
	if state.Msgs == 0 {
		return nil
	}
	next := state.LastSeq + 1
	to := next + window // also what comes meanwhile, as it may replace what was there
	if r.Below != 0 {
		next = min(next, r.Below)
		to = next
	}
	size := uint64(window)
	for next > state.FirstSeq {
		from := state.FirstSeq
		if next > from+size {
			from = next - size
		}
		messages, err := between(ctx, stream, r, from, to)
		if err != nil {
			return fmt.Errorf("read stream %s: %w", r.Stream, Unreachable(err))
		}
		if to > next && stream.CachedInfo().Config.MaxMsgsPerSubject == 1 {
			messages = newestOfEach(messages)
		}
		for _, message := range slices.Backward(messages) {
			if message.At.Before(r.Since) {
				return nil
			}
			if more, err := visit(message); err != nil || !more {
				return err
			}
		}
		next, to = from, from
		if size = min(2*size, widest); len(messages) > window/4 {
			size = window
		}
	}
	return nil
}

// newestOfEach leaves out messages that were replaced by another while they were read.
func newestOfEach(messages []Message) []Message {
	last := map[string]uint64{}
	for _, m := range messages {
		last[m.Subject] = m.Sequence
	}
	return slices.DeleteFunc(messages, func(m Message) bool { return m.Sequence != last[m.Subject] })
}

// between reads what a stream holds from one sequence up to, but without, another. Only a look at the stream says that nothing
// more is there: the server's count of what a consumer is still to get can be too low when messages are deleted while it is made.
func between(ctx context.Context, stream jetstream.Stream, r Read, from, to uint64) (messages []Message, err error) {
	for quiet := 0; quiet <= mostQuiet; quiet++ {
		from, err = following(ctx, stream, r.Subjects, from)
		if err != nil || from >= to {
			return messages, err
		}
		part, err := receive(ctx, stream, r, from, to)
		if err != nil {
			return nil, err
		}
		if len(part) > 0 {
			messages, from, quiet = append(messages, part...), part[len(part)-1].Sequence+1, 0
		}
		if from >= to {
			return messages, nil
		}
	}
	return nil, errLost
}

// following is the first sequence from one on at which a stream holds what is asked for; the highest there can be when there is
// none.
func following(ctx context.Context, stream jetstream.Stream, subjects []string, from uint64) (uint64, error) {
	if len(subjects) == 0 {
		subjects = []string{">"}
	}
	first := uint64(math.MaxUint64)
	for _, subject := range subjects {
		msg, err := stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subject))
		switch {
		case err == nil:
			first = min(first, msg.Sequence)
		case !errors.Is(err, jetstream.ErrMsgNotFound):
			return 0, err
		}
	}
	return first, nil
}

// receive gets from a new consumer what a stream holds from one sequence up to, but without, another, or only the first part of
// it.
func receive(ctx context.Context, stream jetstream.Stream, r Read, from, to uint64) (messages []Message, err error) {
	consumer, err := stream.CreateConsumer(ctx, reading(r.Subjects, from, r.HeadersOnly))
	if err != nil {
		return nil, err
	}
	defer func() { forget(ctx, stream, consumer, err) }()
	iterator, err := consumer.Messages(jetstream.PullMaxMessages(window))
	if err != nil {
		return nil, err
	}
	defer iterator.Stop()
	for delivered := uint64(1); ; delivered++ {
		msg, err := iterator.Next(jetstream.NextMaxWait(quietWait))
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoHeartbeat):
			return messages, nil
		case err != nil:
			return nil, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, err
		}
		if meta.Sequence.Consumer != delivered {
			return nil, errLost
		}
		if meta.Sequence.Stream >= to {
			return messages, nil
		}
		messages = append(messages, stored(msg, meta))
		if meta.NumPending == 0 || meta.Sequence.Stream+1 == to {
			return messages, nil
		}
	}
}

// forget deletes a consumer that was made for one read, which ended with err. A server that did not answer the read is not asked
// again.
func forget(ctx context.Context, stream jetstream.Stream, consumer jetstream.Consumer, err error) {
	if ctx.Err() == nil && err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteWait)
	defer cancel()
	_ = stream.DeleteConsumer(ctx, consumer.CachedInfo().Name)
}

// errLost says that messages did not arrive, which happens only when the connection breaks.
var errLost = fmt.Errorf("%w: messages were lost on the way", ErrUnreachable)

// reading configures a consumer for one read, which keeps nothing on disk and acknowledges nothing.
func reading(subjects []string, from uint64, headersOnly bool) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, HeadersOnly: headersOnly,
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: leftBehind, MemoryStorage: true, Replicas: 1,
	}
}

func stored(msg jetstream.Msg, meta *jetstream.MsgMetadata) Message {
	return Message{Sequence: meta.Sequence.Stream, At: meta.Timestamp, Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()}
}

// Message reads one message of a stream by its sequence. The error is ErrNoMessage when there is none.
func (b *Bus) Message(ctx context.Context, stream string, sequence uint64) (Message, error) {
	return b.one(ctx, stream, func(s jetstream.Stream) (*jetstream.RawStreamMsg, error) { return s.GetMsg(ctx, sequence) })
}

// Newest reads the newest message under a subject. The error is ErrNoMessage when there is none.
func (b *Bus) Newest(ctx context.Context, stream, subject string) (Message, error) {
	return b.one(ctx, stream, func(s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetLastMsgForSubject(ctx, subject)
	})
}

func (b *Bus) one(ctx context.Context, name string, get func(jetstream.Stream) (*jetstream.RawStreamMsg, error)) (Message, error) {
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return Message{}, fmt.Errorf("look for stream %s: %w", name, Unreachable(err))
	}
	msg, err := get(stream)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Message{}, fmt.Errorf("read stream %s: %w", name, ErrNoMessage)
	}
	if err != nil {
		return Message{}, fmt.Errorf("read stream %s: %w", name, Unreachable(err))
	}
	return Message{Sequence: msg.Sequence, At: msg.Time, Subject: msg.Subject, Header: msg.Header, Data: msg.Data}, nil
}

// Delete removes one message of a stream for good. The error is ErrNoMessage when there is none.
func (b *Bus) Delete(ctx context.Context, name string, sequence uint64) error {
	if _, err := b.Message(ctx, name, sequence); err != nil { // the server has no error of its own for it
		return err
	}
	stream, err := b.js.Stream(ctx, name)
	if err == nil {
		err = stream.DeleteMsg(ctx, sequence)
	}
	if err == nil {
		return nil
	}
	if _, gone := b.Message(ctx, name, sequence); errors.Is(gone, ErrNoMessage) { // somebody else deleted it meanwhile
		return gone
	}
	return fmt.Errorf("delete from stream %s: %w", name, Unreachable(err))
}

// Subjects names the subjects of what a stream holds under a subject with wildcards, in no order.
func (b *Bus) Subjects(ctx context.Context, name, filter string) ([]string, error) {
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("look for stream %s: %w", name, Unreachable(err))
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", name, Unreachable(err))
	}
	return slices.Collect(maps.Keys(info.State.Subjects)), nil
}

// Held is what a stream holds.
type Held struct {
	Messages uint64
	Oldest   time.Time // when the oldest of them was stored; zero when there is none
}

// Held counts what a stream holds; nothing when there is no such stream.
func (b *Bus) Held(ctx context.Context, name string) (Held, error) {
	info, _, err := b.StreamInfo(ctx, name)
	if err != nil || info == nil || info.State.Msgs == 0 {
		return Held{}, err
	}
	return Held{Messages: info.State.Msgs, Oldest: info.State.FirstTime}, nil
}

// Count counts what a stream holds under a subject, which may have wildcards.
func (b *Bus) Count(ctx context.Context, name, subject string) (uint64, error) {
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("look for stream %s: %w", name, Unreachable(err))
	}
	consumer, err := stream.CreateConsumer(ctx, reading([]string{subject}, 1, true))
	if err != nil {
		return 0, fmt.Errorf("count stream %s: %w", name, Unreachable(err))
	}
	forget(ctx, stream, consumer, nil)
	return consumer.CachedInfo().NumPending, nil
}
