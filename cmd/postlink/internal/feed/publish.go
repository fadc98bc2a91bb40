package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"postlink/payload"
	"postlink/worker/bus"
)

const (
	window     = 1000                  // posts that may be sent before the first of them is kept
	burst      = 10 * time.Millisecond // a timer may be late by so much, and the rate is kept all the same
	lastAcks   = 2 * time.Second       // how long acknowledgements are awaited after an interruption
	ackWait    = 30 * time.Second      // a post that is not kept for so long has failed
	lossNotice = time.Second           // how long after a failure the loss of NATS is awaited
)

// Stream is where posts are published; *posts.Posts is one. PublishAsync may block while too many posts are under way.
type Stream interface {
	PublishAsync(network string, data []byte) (jetstream.PubAckFuture, error)
}

// Options say how a file is published. Its zero value sends all lines as fast as NATS keeps them. Progress is called by the
// goroutine that publishes, which waits for it.
type Options struct {
	From     int       // the first line that is sent, from 1; 0 is the first
	Rate     float64   // posts a second at most; 0 for as fast as it goes
	Progress func(int) // called with the number of posts that are kept; nil for nobody
}

// Result is how far a file was published.
type Result struct {
	Published int // posts that are surely kept
	Next      int // the first line that may not be kept: where to go on
}

// sent is a post on its way.
type sent struct {
	line int
	ack  jetstream.PubAckFuture
}

// publisher sends the posts of one file. The posts that are under way are kept in the order of their lines, and are taken off in that
// order only. A post that is kept while one before it is not stays in waiting: result.Next names the first line that may be missing.
type publisher struct {
	stream   Stream
	limit    *rate.Limiter
	progress func(int)
	waiting  []sent
	result   Result
}

// Publish appends the posts of a file to the stream and waits until all are kept. The result is right also when it fails:
// everything before the line Next is kept. Posts after it may be kept too; sending them again does no harm, since a post is
// linked once. It ends at once when NATS is lost, if ctx is attached to it (bus.Attached).
func (f *File) Publish(ctx context.Context, stream Stream, opts Options) (Result, error) {
	p := publisher{stream: stream, limit: rate.NewLimiter(rate.Inf, 1), progress: opts.Progress, result: Result{Next: max(opts.From, 1)}}
	if p.progress == nil {
		p.progress = func(int) {}
	}
	if opts.Rate > 0 {
		p.limit = rate.NewLimiter(rate.Limit(opts.Rate), max(1, int(opts.Rate*burst.Seconds())))
	}
	err := f.lines(func(number int, line []byte) error {
		if number < opts.From {
			return nil
		}
		return p.send(ctx, number, line)
	})
	if err == nil {
		err = p.await(ctx, 0)
	} else {
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAcks)
		defer cancel()
		if lost := p.await(bound, 0); lost != nil && bound.Err() == nil {
			err = errors.Join(err, lost)
		}
	}
	return p.result, whyFailed(ctx, err)
}

// whyFailed replaces an error by the loss of NATS, or the stop, that caused it. A post that cannot be sent is often noticed before
// the loss of the connection is, so the loss is awaited for a moment.
func whyFailed(attached context.Context, err error) error {
	var format *FormatError
	if err == nil || errors.As(err, &format) {
		return err
	}
	notice := time.NewTimer(lossNotice)
	defer notice.Stop()
	select {
	case <-attached.Done():
		return context.Cause(attached)
	case <-notice.C:
		return err
	}
}

// send sends one post when its time has come, and takes up what was kept meanwhile. It copies the line, whose buffer is used for the
// next one while NATS still has to send this one.
func (p *publisher) send(ctx context.Context, number int, line []byte) error {
	if err := p.limit.Wait(ctx); err != nil {
		return err
	}
	ack, err := p.stream.PublishAsync(network(line), bytes.Clone(line))
	if err != nil {
		return fmt.Errorf("publish line %d: %w", number, err)
	}
	p.waiting = append(p.waiting, sent{number, ack})
	return p.await(ctx, window)
}

// await waits until at most so many posts are under way, and takes up all that are kept already. It waits for the oldest one, for
// ackWait in all. The error is that of the first post that NATS did not keep, bus.ErrUnreachable when no answer came in time, or
// the cause of ctx. Progress is reported once for each call, so that a fast file does not spend its time on that.
func (p *publisher) await(ctx context.Context, most int) error {
	timeout := time.NewTimer(ackWait)
	defer timeout.Stop()
	kept := p.result.Published
	defer func() {
		if p.result.Published > kept {
			p.progress(p.result.Published)
		}
	}()
	for len(p.waiting) > 0 {
		first := p.waiting[0]
		if len(p.waiting) <= most {
			select {
			case <-first.ack.Ok():
			case err := <-first.ack.Err():
				return fmt.Errorf("publish line %d: %w", first.line, err)
			default:
				return nil
			}
		} else {
			select {
			case <-first.ack.Ok():
			case err := <-first.ack.Err():
				return fmt.Errorf("publish line %d: %w", first.line, err)
			case <-timeout.C:
				return fmt.Errorf("publish line %d: NATS did not keep it within %s: %w", first.line, ackWait, bus.ErrUnreachable)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		p.waiting = p.waiting[1:]
		p.result.Published++
		p.result.Next = first.line + 1
	}
	return nil
}

// network is the network that a post names, for its subject; empty when it names none. A line that cannot be decoded as a post may
// still name one.
func network(line []byte) string {
	if p, err := payload.DecodePost(line); err == nil {
		return p.Network
	}
	name, _ := payload.Glance(line)
	return name
}
