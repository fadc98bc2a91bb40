package app

import "postlink/dynamics"

// Dial makes the client that an instance's catalog entry describes.
func Dial(instance dynamics.Instance) (*dynamics.Client, error) {
	tokens, err := instance.Auth.TokenSource(instance, nil)
	if err != nil {
		return nil, err
	}
	return dynamics.New(dynamics.Options{Instance: instance, Tokens: tokens})
}
