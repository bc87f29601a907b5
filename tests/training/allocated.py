"""The most that torch's CPU allocator held during a part of a profile that was recorded as `measured`."""


def peak_in(told):
    """Bytes above where the profile began."""
    events, totals, span = list(told.profiler.kineto_results.experimental_event_tree()), [], None
    while events:
        event = events.pop()
        events.extend(event.children)
        if event.name == "measured":
            span = (event.start_time_ns, event.end_time_ns)
        if event.name == "[memory]" and event.extra_fields.total_allocated:  # a mapped file says 0: no allocator had it
            change = event.extra_fields
            totals.append((event.start_time_ns, change.total_allocated, change.total_allocated - change.alloc_size))
    start = min(totals)[2]  # the profiler's count goes on from where the last profile of this process ended
    return max(total for when, total, _ in totals if span[0] <= when <= span[1]) - start
