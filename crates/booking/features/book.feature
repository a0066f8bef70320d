Feature: Book an appointment
  A member sees what is free, takes it for ten minutes, and decides.

  Background:
    Given a salon in Tokyo that is open from 9 to 17, with a break at noon

  Scenario: A free time is booked
    When Ann looks for free times on 3 January
    Then 10:00 is offered
    But 12:00 is not offered
    When Ann holds 3 January at 10:00
    And Ann confirms
    Then Ann's booking is confirmed
    When Ben looks for free times on 3 January
    Then 10:00 is not offered
    But 11:00 is offered

  Scenario: Who does not decide loses the time
    Given Ann holds 3 January at 10:00
    When ten minutes go by
    And Ann confirms
    Then the answer is 409 hold_expired
    And Ann's booking is expired
    When Ben holds 3 January at 10:00
    Then Ben's booking is held

  Scenario: Nobody works in the break
    When Ann holds 3 January at 12:00
    Then the answer is 422 outside_hours
