package worker

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// park stops the deliveries of the lane until a probe succeeds, and says why, once.
func (l *lane) park(ctx context.Context, reason string) {
	if !l.gate.close(whyParked, time.Time{}) {
		return
	}
	l.log.Error("the instance is parked: nothing is sent, nothing is lost", zap.String("reason", reason))
	l.write(ctx, func(s *InstanceState) { s.Parked, s.ParkedSince = reason, l.d.opts.Now().UTC() })
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// probe asks a parked instance again and again whether it answers, and opens the lane when it does.
func (l *lane) probe(ctx context.Context) {
	if s, err := State(ctx, l.d.opts.Bus, l.instance.Name); err == nil {
		l.mu.Lock()
		l.state = s
		l.mu.Unlock()
	}
	for {
		if err := l.gate.waitFor(ctx, whyDisabled); err != nil {
			return
		}
		err := l.ask(ctx)
		if err == nil {
			if l.gate.open(whyParked) {
				l.log.Info("the instance answers")
			}
			select {
			case <-l.wake:
				if !sleep(ctx, spread(l.d.opts.ProbeEvery)) {
					return
				}
			case <-ctx.Done():
				return
			}
			continue
		}
		if ctx.Err() != nil {
			return
		}
		l.refused(ctx, judge(err).reason)
		if !sleep(ctx, spread(l.d.opts.ProbeEvery)) {
			return
		}
	}
}

// ask makes the client, if there is none yet, and talks to the instance.
func (l *lane) ask(ctx context.Context) error {
	client := l.client.Load()
	if client == nil {
		made, err := l.d.opts.Dial(l.instance)
		if err != nil {
			return err
		}
		l.client.Store(made)
		client = made
	}
	ctx, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	org, err := client.Organization(ctx)
	if err != nil {
		return err
	}
	l.org.Store(&org)
	if org.SocialDataDisabled != nil && *org.SocialDataDisabled {
		return errSocialDataDisabled
	}
	l.write(ctx, func(s *InstanceState) {
		s.Organization, s.Version, s.LastSeen = org.ID, org.Version, l.d.opts.Now().UTC()
		s.Parked, s.ParkedSince = "", time.Time{}
	})
	return nil
}

// refused notes why the instance stays parked, and says so once for each reason.
func (l *lane) refused(ctx context.Context, reason string) {
	l.mu.Lock()
	known := l.state.Parked == reason
	l.mu.Unlock()
	if known {
		return
	}
	l.log.Error("the instance does not take links; they wait", zap.String("reason", reason))
	l.write(ctx, func(s *InstanceState) {
		if s.Parked == "" {
			s.ParkedSince = l.d.opts.Now().UTC()
		}
		s.Parked = reason
	})
}

// seen notes, now and then, that the instance answered.
func (l *lane) seen(ctx context.Context) {
	now := l.d.opts.Now().UTC()
	l.mu.Lock()
	fresh := now.Sub(l.state.LastSeen) < seenEvery
	l.mu.Unlock()
	if !fresh {
		l.write(ctx, func(s *InstanceState) { s.LastSeen = now })
	}
}

// write changes what is known of the instance. That is for people: when it cannot be written nothing stops.
func (l *lane) write(ctx context.Context, change func(*InstanceState)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.state)
	if err := update(ctx, l.d.opts.Bus, l.instance.Name, change); err != nil && ctx.Err() == nil {
		l.log.Warn("cannot write down the state of the instance", zap.Error(err))
	}
}
