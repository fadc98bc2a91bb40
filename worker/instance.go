package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
)

// InstanceState is what is known of an instance, apart from what the catalog says of it.
type InstanceState struct {
	Organization uuid.UUID `json:"organization,omitzero"` // id of the organization behind it
	Version      string    `json:"version,omitempty"`
	LastSeen     time.Time `json:"last_seen,omitzero"` // when it last answered
	Parked       string    `json:"parked,omitempty"`   // why it is sent nothing, for people; empty while it is not parked
	ParkedSince  time.Time `json:"parked_since,omitzero"`
	RefreshedAt  time.Time `json:"refreshed_at,omitzero"`
	Missing      []string  `json:"missing,omitempty"` // entities that active rules use and that Dynamics had not at the refresh
}

// retrySoon is the pause after a race that was lost to somebody else.
const retrySoon = 10 * time.Millisecond

// State reads what is known of an instance; the zero value when nothing is.
func State(ctx context.Context, b *bus.Bus, instance string) (InstanceState, error) {
	s, _, err := readState(ctx, b, instance)
	return s, err
}

func readState(ctx context.Context, b *bus.Bus, instance string) (s InstanceState, revision uint64, err error) {
	entry, err := b.Instances().Get(ctx, instance)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return s, 0, nil
	}
	if err == nil {
		revision = entry.Revision()
		err = json.Unmarshal(entry.Value(), &s)
	}
	if err != nil {
		return s, 0, fmt.Errorf("read the state of instance %s: %w", instance, err)
	}
	return s, revision, nil
}

// update changes what is known of an instance, whoever else does at the same time.
func update(ctx context.Context, b *bus.Bus, instance string, change func(*InstanceState)) error {
	for {
		s, revision, err := readState(ctx, b, instance)
		if err != nil {
			return err
		}
		change(&s)
		data, err := json.Marshal(s)
		if err == nil {
			if revision == 0 {
				_, err = b.Instances().Create(ctx, instance, data)
			} else {
				_, err = b.Instances().Update(ctx, instance, data, revision)
			}
		}
		if errors.Is(err, jetstream.ErrKeyExists) && sleep(ctx, spread(retrySoon)) { // as both say that somebody else was faster
			continue
		}
		if err != nil {
			return fmt.Errorf("write the state of instance %s: %w", instance, err)
		}
		return nil
	}
}

// forget deletes what is known of an instance.
func forget(ctx context.Context, b *bus.Bus, instance string) error {
	if err := b.Instances().Purge(ctx, instance); err != nil {
		return fmt.Errorf("forget the state of instance %s: %w", instance, err)
	}
	return nil
}
