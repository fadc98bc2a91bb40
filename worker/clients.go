package worker

import (
	"sync"

	"postlink/dynamics"
)

// Clients keeps one client for each instance, so that deliveries, details and metadata share connections, tokens and the
// memory of known authors.
type Clients struct {
	dial Dial

	mu     sync.Mutex
	byName map[string]dialled
}

type dialled struct {
	instance dynamics.Instance
	client   *dynamics.Client
}

// NewClients makes an empty set of clients that are made by dial.
func NewClients(dial Dial) *Clients { return &Clients{dial: dial, byName: map[string]dialled{}} }

// Client returns the client of an instance, a new one when its address has changed. Its error is that of dial.
func (c *Clients) Client(i dynamics.Instance) (*dynamics.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d, ok := c.byName[i.Name]; ok && sameAddress(d.instance, i) {
		return d.client, nil
	}
	client, err := c.dial(i)
	if err != nil {
		return nil, err
	}
	c.byName[i.Name] = dialled{i, client}
	return client, nil
}
