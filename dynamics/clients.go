package dynamics

import "sync"

// Clients keep one client for each instance, so that all its users share connections, tokens and the memory of known
// authors. They are safe for concurrent use.
type Clients struct {
	dial func(Instance) (*Client, error)

	mu     sync.Mutex
	byName map[string]dialled
}

type dialled struct {
	instance Instance
	client   *Client
}

// NewClients returns clients that dial makes; Dial when nil.
func NewClients(dial func(Instance) (*Client, error)) *Clients {
	if dial == nil {
		dial = Dial
	}
	return &Clients{dial: dial, byName: map[string]dialled{}}
}

// Dial makes the client that an instance's catalog entry describes. Its error is for the administrator: a secret that is
// missing, say.
func Dial(instance Instance) (*Client, error) {
	tokens, err := instance.Auth.TokenSource(instance, nil)
	if err != nil {
		return nil, err
	}
	return New(Options{Instance: instance, Tokens: tokens})
}

// Client returns the client of an instance, a new one when its address has changed. Its error is that of dialling; nothing is
// kept then, and the next call dials again. The lock is held while it dials, which reads secrets but sends nothing. A client that
// is replaced goes on serving those who hold it.
func (c *Clients) Client(i Instance) (*Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.byName[i.Name]
	if ok && known.instance.SameAddress(i) {
		return known.client, nil
	}
	client, err := c.dial(i)
	if err != nil {
		return nil, err
	}
	if ok {
		known.client.CloseIdleConnections()
	}
	c.byName[i.Name] = dialled{i, client}
	return client, nil
}

// Close closes the connections that wait for another request. Requests under way go on, and the clients can still be used.
func (c *Clients) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.byName {
		known.client.CloseIdleConnections()
	}
}

// SameAddress reports whether a client for one instance serves the other as well. Entities and switches do not matter to a client.
func (i *Instance) SameAddress(other Instance) bool {
	return i.URL == other.URL && i.Auth == other.Auth
}
