// Package instance keeps the observed status of each instance, beside its configuration in the catalog: which organization is
// behind it, whether it answers, and why it is sent nothing for now. All workers share it, and people see it.
//
// Nothing depends on it for delivery: a worker that cannot write it goes on.
package instance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
	"postlink/worker/ledger"
)

// Status is how an instance was last observed. Parts that are unknown are zero.
type Status struct {
	Organization uuid.UUID `json:"organization,omitzero"` // id of the organization behind it
	Version      string    `json:"version,omitempty"`
	LastSeen     time.Time `json:"last_seen,omitzero"` // when it last answered
	RefreshedAt  time.Time `json:"refreshed_at,omitzero"`
	Missing      []string  `json:"missing,omitempty"` // entities that active rules use and that Dynamics had not at the refresh

	Parked      string    `json:"parked,omitempty"` // why it is sent nothing, for people; empty while it is not parked
	ParkedSince time.Time `json:"parked_since,omitzero"`
	NextTry     time.Time `json:"next_try,omitzero"` // when a parked instance is asked again

	ThrottledUntil time.Time `json:"throttled_until,omitzero"` // it asked to be left alone until then

	Retrying      string    `json:"retrying,omitempty"` // why links are tried again, for people; empty since one succeeded
	RetryingSince time.Time `json:"retrying_since,omitzero"`
}

// Park says that the instance is sent nothing, and why. The time stays that of the first reason.
func (s *Status) Park(why string, now time.Time) {
	if s.Parked == "" {
		s.ParkedSince = now.UTC()
	}
	s.Parked = why
}

// Answered says that the instance answers: whatever it was parked for is over.
func (s *Status) Answered(now time.Time) {
	s.LastSeen = now.UTC()
	s.Parked, s.ParkedSince, s.NextTry = "", time.Time{}, time.Time{}
}

// Statuses keep the status of every instance. They are safe for concurrent use, by any number of processes.
type Statuses struct{ kv jetstream.KeyValue }

// Open declares the bucket of statuses.
func Open(ctx context.Context, b *bus.Bus) (*Statuses, error) {
	kv, err := b.DeclareBucket(ctx, jetstream.KeyValueConfig{
		Bucket: "instances", Description: "The observed status of each Dynamics instance.",
	})
	return &Statuses{kv}, err
}

// Read reads the status of an instance; its zero value when nothing is known.
func (s *Statuses) Read(ctx context.Context, instance string) (Status, error) {
	status, _, err := s.read(ctx, instance)
	return status, err
}

func (s *Statuses) read(ctx context.Context, instance string) (status Status, revision uint64, err error) {
	entry, err := s.kv.Get(ctx, instance)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return status, 0, nil
	}
	if err == nil {
		revision = entry.Revision()
		err = json.Unmarshal(entry.Value(), &status)
	}
	if err != nil {
		return status, 0, fmt.Errorf("read the status of instance %s: %w", instance, bus.Unreachable(err))
	}
	return status, revision, nil
}

// lostRace is the pause after a race that was lost to somebody else.
const lostRace = 10 * time.Millisecond

// Update changes the status of an instance by compare-and-set. change is called again when somebody else wrote in between, so it
// must depend on its argument alone. A lost race is tried again without limit, until ctx ends. Where there is no status yet, change
// gets the zero value.
func (s *Statuses) Update(ctx context.Context, instance string, change func(*Status)) error {
	for {
		status, revision, err := s.read(ctx, instance)
		if err != nil {
			return err
		}
		change(&status)
		data, err := json.Marshal(status)
		if err == nil {
			if revision == 0 {
				_, err = s.kv.Create(ctx, instance, data)
			} else {
				_, err = s.kv.Update(ctx, instance, data, revision)
			}
		}
		if errors.Is(err, jetstream.ErrKeyExists) { // as both say that somebody else was faster
			if bus.Sleep(ctx, bus.Spread(lostRace)) {
				continue
			}
			err = context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("write the status of instance %s: %w", instance, bus.Unreachable(err))
		}
		return nil
	}
}

// Forget deletes the status of an instance. It is no error when there is none.
func (s *Statuses) Forget(ctx context.Context, instance string) error {
	if err := s.kv.Purge(ctx, instance); err != nil {
		return fmt.Errorf("forget the status of instance %s: %w", instance, bus.Unreachable(err))
	}
	return nil
}

// Follow calls visit with the status of an instance, if there is one, and again with each change, until ctx ends or the watch
// breaks, which is an error. That a status is forgotten is no change.
func (s *Statuses) Follow(ctx context.Context, instance string, visit func(Status)) error {
	w, err := s.kv.Watch(ctx, instance, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("follow the status of instance %s: %w", instance, bus.Unreachable(err))
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, open := <-w.Updates():
			if !open {
				return fmt.Errorf("follow the status of instance %s: %w", instance, bus.ErrUnreachable)
			}
			var status Status
			if entry != nil && json.Unmarshal(entry.Value(), &status) == nil {
				visit(status)
			}
		}
	}
}

// Homes say which instance of the catalog a link lives in. Links go by the organization behind an instance, so that an
// instance that is deleted and added again, even under another name, has its links again.
type Homes struct {
	byOrganization map[uuid.UUID]string
	organization   map[string]uuid.UUID // by instance; uuid.Nil while it was never seen
}

// Homes reads the organizations of the instances named, which are those of the catalog.
func (s *Statuses) Homes(ctx context.Context, instances []string) (Homes, error) {
	h := Homes{byOrganization: map[uuid.UUID]string{}, organization: map[string]uuid.UUID{}}
	for _, name := range instances {
		status, err := s.Read(ctx, name)
		if err != nil {
			return h, err
		}
		h.organization[name] = status.Organization
		if status.Organization != uuid.Nil {
			h.byOrganization[status.Organization] = name
		}
	}
	return h, nil
}

// Of is the name of the instance that a link belongs to now; false when it is not in the catalog. A link that was not delivered yet
// has no organization, and goes by the name of its instance; so does any link of an instance that was never seen.
func (h Homes) Of(link *ledger.Link) (string, bool) {
	organization, ok := h.organization[link.Instance]
	if ok && organization == link.Organization { // also where two names lead to one organization
		return link.Instance, true
	}
	if name, ok := h.byOrganization[link.Organization]; ok && link.Organization != uuid.Nil {
		return name, true
	}
	if !ok || organization != uuid.Nil && link.Organization != uuid.Nil {
		return "", false // deleted, or another organization of the same name
	}
	return link.Instance, true
}
