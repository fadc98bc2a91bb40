package app

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"postlink/worker/bus"
)

// maxLine is the longest post that is published, in bytes: what one NATS message may hold.
const maxLine = 1 << 20

// OpenPosts opens a file of posts, one JSON document a line, unpacking it when its name ends in .gz; "-" is standard input.
func OpenPosts(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open posts: %w", err)
	}
	if !strings.HasSuffix(path, ".gz") {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open posts %s: %w", path, err), f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}

// Publish appends every line of r to the posts stream, at most perSecond posts a second (0: as fast as it goes), and waits
// until all are kept. A line that is not a post is published too: the worker keeps it as a dead letter. It returns how many
// posts are surely kept, also when it fails.
func Publish(ctx context.Context, b *bus.Bus, r io.Reader, perSecond float64, progress func(int)) (int, error) {
	limit := rate.NewLimiter(rate.Inf, 1)
	if perSecond > 0 {
		limit = rate.NewLimiter(rate.Limit(perSecond), 1)
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var waiting []jetstream.PubAckFuture
	kept := 0
	flush := func() error {
		for _, f := range waiting {
			select {
			case <-f.Ok():
				kept++
			case err := <-f.Err():
				return fmt.Errorf("publish post %d: %w", kept+1, err)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		waiting = waiting[:0]
		progress(kept)
		return nil
	}
	for lines.Scan() {
		line := lines.Bytes()
		if len(strings.TrimSpace(string(line))) == 0 {
			continue
		}
		if err := limit.Wait(ctx); err != nil {
			return kept, errors.Join(err, flush())
		}
		f, err := b.PublishPostAsync(source(line), append([]byte(nil), line...))
		if err != nil {
			return kept, errors.Join(err, flush())
		}
		if waiting = append(waiting, f); len(waiting) >= 1000 || perSecond > 0 {
			if err := flush(); err != nil {
				return kept, err
			}
		}
	}
	if err := flush(); err != nil {
		return kept, err
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return kept, fmt.Errorf("publish post %d: it is longer than %d bytes, which NATS does not take; remove it from the file", kept+1, maxLine)
	}
	if err := lines.Err(); err != nil {
		return kept, fmt.Errorf("read post %d: %w", kept+1, err)
	}
	return kept, nil
}

// source is the network that a post names, for its subject; empty when it names none.
func source(line []byte) string {
	type post struct {
		Source struct{ Param string }
	}
	var event struct {
		post
		Post *post
	}
	if json.Unmarshal(line, &event) != nil {
		return ""
	}
	if event.Post != nil {
		return strings.ToLower(event.Post.Source.Param)
	}
	return strings.ToLower(event.post.Source.Param)
}
