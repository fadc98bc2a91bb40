package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// seedKey stands beside the catalog's own key.
const seedKey = "seed"

// Seed is what SetSeed was told last; empty when it never was.
func (b *Bus) Seed(ctx context.Context) (string, error) {
	entry, err := b.catalog.Get(ctx, seedKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look which catalog was put in force at the last start: %w", unreachable(err))
	}
	return string(entry.Value()), nil
}

// SetSeed remembers, for the next start, the hash of the catalog that a start has put in force.
func (b *Bus) SetSeed(ctx context.Context, hash string) error {
	if _, err := b.catalog.PutString(ctx, seedKey, hash); err != nil {
		return fmt.Errorf("remember which catalog was put in force at the start: %w", unreachable(err))
	}
	return nil
}
