package worker

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// mostProbe is the longest pause between two probes of an instance that parks again and again.
const mostProbe = 5 * time.Minute

// park stops the deliveries of the lane until a probe succeeds, and says why, once: an instance may answer probes and still
// refuse every link for the same reason.
func (l *lane) park(ctx context.Context, reason string) {
	if !l.gate.close(whyParked, time.Time{}) {
		return
	}
	l.mu.Lock()
	again := l.parkedFor == reason
	l.parkedFor = reason
	if again {
		l.probePause = min(2*l.probePause, mostProbe)
	}
	l.mu.Unlock()
	if !again {
		l.log.Error("the instance is parked: nothing is sent, nothing is lost", zap.String("reason", reason))
	}
	l.write(ctx, func(s *InstanceState) { s.Parked, s.ParkedSince = reason, l.d.opts.Now().UTC() })
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// pause is how long to wait before the next probe.
func (l *lane) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return spread(l.probePause)
}

// probe asks a parked instance again and again whether it answers, and opens the lane when it does.
func (l *lane) probe(ctx context.Context) {
	if s, err := State(ctx, l.d.opts.Bus, l.instance.Name); err == nil {
		l.mu.Lock()
		l.state = s
		l.mu.Unlock()
	}
	for {
		if l.gate.waitFor(ctx, whyDisabled) != nil {
			return
		}
		pause := l.pause()
		switch j := judge(l.ask(ctx)); {
		case ctx.Err() != nil:
			return
		case j.verdict == delivered:
			l.answers(ctx)
			pause = l.pause() // it may have grown since
		case j.verdict == throttle:
			l.log.Info("the instance is throttled", zap.Duration("delay", j.wait))
			pause = max(pause, j.wait)
		default:
			l.refused(ctx, j.reason)
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// answers opens the lane, and returns when it is parked again.
func (l *lane) answers(ctx context.Context) {
	if l.gate.open(whyParked) {
		l.log.Debug("the instance answers")
	}
	select {
	case <-l.wake:
	case <-ctx.Done():
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

// seen notes that the instance took a link: whatever it was parked for is over. It is written down now and then only.
func (l *lane) seen(ctx context.Context) {
	now := l.d.opts.Now().UTC()
	l.mu.Lock()
	l.parkedFor, l.probePause = "", l.d.opts.ProbeEvery
	fresh := now.Sub(l.state.LastSeen) < seenEvery
	l.mu.Unlock()
	if !fresh {
		l.write(ctx, func(s *InstanceState) { s.LastSeen, s.Parked, s.ParkedSince = now, "", time.Time{} })
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
