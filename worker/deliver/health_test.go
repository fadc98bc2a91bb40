package deliver_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postlink/dynamics"
	"postlink/worker/instance"
)

func TestLinksWaitUntilAProbeIsAnswered(t *testing.T) {
	t.Parallel()
	inBubble(t, answer(503, ""), func(b *bubble) {
		if b.Open() {
			t.Error("links are sent to an instance that nobody has asked")
		}
		b.pass(2*probeEvery + probeEvery/2)
		if n := len(b.instance.times()); n < 2 || n > 4 || b.Open() {
			t.Errorf("%d probes in two and a half pauses, open %t", n, b.Open())
		}
		b.instance.answers(nil)
		if took := b.opens(); took > probeEvery*12/10 {
			t.Errorf("open after %s", took)
		}
		n := len(b.instance.times())
		b.pass(time.Hour)
		if more := len(b.instance.times()) - n; more != 0 {
			t.Errorf("%d probes of an instance that is not parked", more)
		}
	})
}

func TestADisabledInstanceIsNeitherProbedNorSentAnything(t *testing.T) {
	t.Parallel()
	inBubble(t, answer(503, ""), func(b *bubble) {
		b.Disable(true)
		n := len(b.instance.times())
		b.instance.answers(nil)
		b.pass(time.Hour)
		if more := len(b.instance.times()) - n; more != 0 || b.Open() {
			t.Errorf("%d probes while it was disabled, open %t", more, b.Open())
		}
		b.Disable(false)
		if took := b.opens(); took != 0 {
			t.Errorf("probed %s after it was enabled", took)
		}
		b.Disable(true)
		if b.Open() {
			t.Error("links are sent to a disabled instance")
		}
		if diff := cmp.Diff(map[string]float64{"disabled": 1, "parked": 0}, waits(t, b.registry, "contoso")); diff != "" {
			t.Errorf("metrics: %s", diff)
		}
		b.Disable(false)
		if took := b.opens(); took != 0 {
			t.Errorf("open only %s after it was enabled, though it answered before", took)
		}
	})
}

func TestAThrottledInstanceIsLeftAloneUntilTheLatestDeadline(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bubble) {
		b.opens()
		b.Throttle(time.Minute)
		b.Throttle(10 * time.Second) // an earlier deadline does not shorten it
		b.pass(20 * time.Second)
		b.Throttle(2 * time.Minute)
		if diff := cmp.Diff(map[string]float64{"parked": 0, "throttled": 1}, waits(t, b.registry, "contoso")); diff != "" {
			t.Errorf("metrics: %s", diff)
		}
		var s instance.Status
		b.Pending(&s)
		if left := time.Until(s.ThrottledUntil); left != 2*time.Minute {
			t.Errorf("people read that it is throttled for another %s", left)
		}
		if took := b.opens(); took != 2*time.Minute {
			t.Errorf("open after %s", took)
		}
		synctest.Wait()
		b.Pending(&s)
		if !s.ThrottledUntil.IsZero() {
			t.Errorf("people still read that it is throttled until %s", s.ThrottledUntil)
		}
	})
}

func TestAThrottlingEndsEvenIfNoLinkWaits(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bubble) {
		b.opens()
		b.Throttle(time.Minute)
		b.pass(time.Minute + time.Second)
		if diff := cmp.Diff(map[string]float64{"parked": 0, "throttled": 0}, waits(t, b.registry, "contoso")); diff != "" {
			t.Errorf("metrics: %s", diff)
		}
	})
}

func TestALaterThrottlingByAnotherWorkerStaysInTheStatus(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bubble) {
		b.opens()
		later := time.Now().Add(time.Hour)
		s := instance.Status{ThrottledUntil: later}
		b.Throttle(time.Minute)
		b.Pending(&s)
		b.pass(2 * time.Minute)
		synctest.Wait()
		b.Pending(&s)
		if !s.ThrottledUntil.Equal(later) {
			t.Errorf("throttled until %s, want %s", s.ThrottledUntil, later)
		}
	})
}

func TestAProbeThatIsThrottledIsRepeatedNoSoonerThanAllowed(t *testing.T) {
	t.Parallel()
	inBubble(t, &dynamics.Error{Status: 429, RetryAfter: 10 * time.Minute}, func(b *bubble) {
		b.pass(10*time.Minute - time.Second)
		if n := len(b.instance.times()); n != 1 {
			t.Errorf("%d probes within the time that it asked for", n)
		}
		var s instance.Status
		b.Pending(&s)
		if s.Parked != "" || s.ThrottledUntil.IsZero() {
			t.Errorf("status %+v of an instance that is throttled and refused nothing", s)
		}
		b.instance.answers(nil)
		b.opens()
	})
}

func TestAParkedInstanceIsNotProbedWhileItIsThrottled(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bubble) {
		b.opens()
		b.Park("http-403", "no role")
		b.Throttle(time.Hour) // says a link that was under way
		n := len(b.instance.times())
		b.pass(time.Hour - time.Second)
		if more := len(b.instance.times()) - n; more != 0 {
			t.Errorf("%d probes within the time that it asked for", more)
		}
		if took := b.opens(); took > time.Second {
			t.Errorf("open %s after that time", took)
		}
	})
}

func TestPausesDoubleWhileTheSameRefusalRepeatsAndAreResetByALink(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bubble) {
		b.opens()
		for i, want := range []time.Duration{probeEvery, 2 * probeEvery, 4 * probeEvery, 8 * probeEvery, 16 * probeEvery, 5 * time.Minute, 5 * time.Minute} {
			if news := b.Park("http-403", "no role"); news != (i == 0) {
				t.Errorf("park %d is news: %t", i, news)
			}
			if took := b.opens(); !about(took, want) {
				t.Errorf("probed %s after park %d, want about %s", took, i, want)
			}
		}
		b.Took()
		if !b.Park("http-403", "no role") {
			t.Error("the same refusal after a link was taken is no news")
		}
		if took := b.opens(); !about(took, probeEvery) {
			t.Errorf("probed %s after a link was taken, want about %s", took, probeEvery)
		}
		if !b.Park("login", "token") {
			t.Error("another refusal is no news")
		}
	})
}

func TestRefusalsOfLinksThatWereUnderWayNeitherRepeatTheNewsNorPutOffTheProbe(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bubble) {
		b.opens()
		b.Park("http-403", "no role")
		b.pass(probeEvery / 2)
		for range 7 {
			if b.Park("http-403", "no role") {
				t.Error("the refusal of another link is news")
			}
		}
		if took := b.opens(); took > probeEvery*7/10 {
			t.Errorf("probed %s after the last of them", took)
		}
	})
}

func TestALinkThatWasUnderWayDoesNotEndAPark(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bubble) {
		b.opens()
		b.Park("http-403", "no role")
		b.Took()
		var s instance.Status
		b.Pending(&s)
		if b.Open() || s.Parked != "no role" {
			t.Errorf("open %t, status %+v", b.Open(), s)
		}
		if b.Park("http-403", "no role") {
			t.Error("the same park is news again")
		}
	})
}

func TestPeopleReadWhyAnInstanceIsParkedAndWhenItIsTriedAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, errors.New("broken"), func(b *bubble) {
		var s instance.Status
		b.Pending(&s)
		since := time.Now()
		if s.Parked != "broken" || !s.ParkedSince.Equal(since) || !about(time.Until(s.NextTry), probeEvery) {
			t.Errorf("after the first probe: %+v", s)
		}
		first := s.NextTry
		b.pass(time.Until(first) - time.Nanosecond)
		if n := len(b.instance.times()); n != 1 {
			t.Errorf("%d probes before the time that people read", n)
		}
		b.instance.answers(dynamics.ErrSocialData)
		b.pass(time.Nanosecond)
		synctest.Wait()
		b.Pending(&s)
		if n := len(b.instance.times()); n != 2 {
			t.Errorf("%d probes at the time that people read", n)
		}
		if s.Parked != dynamics.ErrSocialData.Error() || !s.ParkedSince.Equal(since) || !s.NextTry.After(first) {
			t.Errorf("after the second probe: %+v", s)
		}
		b.instance.answers(nil)
		b.opens()
		b.Pending(&s)
		want := instance.Status{Organization: organization.ID, Version: organization.Version, LastSeen: time.Now().UTC()}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("after it answered: %s", diff)
		}
		if diff := cmp.Diff(map[string]float64{"parked": 0}, waits(t, b.registry, "contoso")); diff != "" {
			t.Errorf("metrics: %s", diff)
		}
	})
}

func TestPeopleReadWhyLinksAreTriedAgainUntilOneSucceeds(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bubble) {
		b.opens()
		s := instance.Status{Retrying: "of a worker that is gone", RetryingSince: time.Now().Add(-time.Hour)}
		b.Took()
		b.Pending(&s)
		if s.Retrying != "" || !s.RetryingSince.IsZero() {
			t.Errorf("what another worker wrote stays: %+v", s)
		}
		since := time.Now()
		b.Failed("status 503")
		b.Failed("status 504") // written only now and then
		b.Pending(&s)
		if s.Retrying != "status 503" || !s.RetryingSince.Equal(since) {
			t.Errorf("after failures: %+v", s)
		}
		b.pass(10 * time.Second)
		b.Failed("status 502")
		b.Pending(&s)
		if s.Retrying != "status 502" || !s.RetryingSince.Equal(since) {
			t.Errorf("after more failures: %+v", s)
		}
		b.Took()
		b.Pending(&s)
		if s.Retrying != "" || !s.RetryingSince.IsZero() || !s.LastSeen.Equal(time.Now()) {
			t.Errorf("after a success: %+v", s)
		}
	})
}

func TestThatAnInstanceWasSeenIsWrittenOnceAMinute(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bubble) {
		b.opens()
		b.Took()
		var s instance.Status
		b.Pending(&s)
		writes := 0
		for range 600 {
			b.pass(time.Second)
			b.Took()
			before := s.LastSeen
			if b.Pending(&s); !s.LastSeen.Equal(before) {
				writes++
			}
		}
		if writes != 10 {
			t.Errorf("written %d times in ten minutes", writes)
		}
	})
}

func TestAForgottenHealthLeavesNoMetrics(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bubble) {
		b.opens()
		b.Forget()
		b.Park("http-403", "no role") // an attempt that was under way
		b.Throttle(time.Minute)
		if diff := cmp.Diff(map[string]float64{}, waits(t, b.registry, "contoso")); diff != "" {
			t.Errorf("metrics: %s", diff)
		}
	})
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	inBubble(t, answer(503, ""), func(b *bubble) {
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
		defer cancel()
		if err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}
